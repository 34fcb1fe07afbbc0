"""Autoscaling of containers: decide how many replicas each deployment should have, from what they use."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient.server.engines.autoscaling import CPU, MEMORY, REQUEST_DURATION, Measured, decide
from paperspace.gradient.server.engines.reasons import Reason
from paperspace.gradient.server.engines.runtime import ERRORED, FAILED, HEALTHY, Scaled, SpecNoted
from paperspace.gradient.server.usage import cpu_fractions, mean_duration, memory_fractions, requests_between

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from paperspace.gradient.server.controller.records import Records
    from paperspace.gradient.server.controller.sampling import Sampler
    from paperspace.gradient.server.controller.state import Instance, Wanted
    from paperspace.gradient.server.controller.work import Change
    from paperspace.gradient.server.engines.autoscaling import Decision
    from paperspace.gradient.server.usage import Reading

MAX_AGE = timedelta(minutes=1)  # of a reading; an older one says nothing about the load now


class Readings(NamedTuple):
    """The last two readings of a deployment."""

    before: Reading
    after: Reading


class Pass(NamedTuple):
    """The decisions that were taken together."""

    decisions: Mapping[str, Decision] = {}
    """By the id of the deployment; the next pass needs them."""
    changed: frozenset[str] = frozenset()
    """The deployments whose number of replicas changes."""


class Autoscaler:
    """Decides after each reading.

    Args:
        sampler: Takes the readings.
        change: Runs a function in a transaction.
        wake: Called with the ids of the deployments whose number of replicas changes.
    """

    def __init__(self, sampler: Sampler, change: Change, wake: Callable[[Iterable[str]], None]) -> None:
        self._sampler = sampler
        self._change = change
        self._wake = wake
        self._taken = asyncio.Event()
        self._last = Pass()
        sampler.call_after_reading(lambda _: self._taken.set())

    async def run(self) -> None:
        """Wait for a reading, and decide."""
        await self._taken.wait()
        self._taken.clear()
        newest = {id_: self._sampler.readings(id_)[-2:] for id_ in self._sampler.latest()}
        readings = {id_: Readings(*two) for id_, two in newest.items() if len(two) == len(Readings._fields)}
        self._last = await self._change(lambda records: decide_all(records, readings, self._last))
        self._wake(self._last.changed)


def decide_all(records: Records, readings: Mapping[str, Readings], last: Pass) -> Pass:
    """Decide how many replicas each deployment with autoscaling should have, and store it, with its reason.

    Args:
        records: The database, in a transaction.
        readings: What the deployments use.
        last: The decisions before. At first, no replicas are removed for five minutes.
    """
    decisions: dict[str, Decision] = {}
    changed: set[str] = set()
    for deployment_id in records.scales.deployments():
        wanted = records.revisions(deployment_id)
        target = wanted.target
        if target is None or target.autoscaling is None:
            continue
        before = last.decisions.get(deployment_id)
        measured = measure(records.instances(deployment_id), readings.get(deployment_id), records.now)
        autoscaling = target.autoscaling.with_maximum(records.max_replicas)
        decision = decide(autoscaling, target.replicas, measured, before.window if before else (), records.now)
        decisions[deployment_id] = decision
        if scaled := list(_scaled(wanted, decision, records.now)):
            records.record(scaled)
            changed.add(deployment_id)
        if unknown := set(decision.unknown) - set(before.unknown if before else ()):
            records.record([SpecNoted(target.spec_id, records.now, Reason.METRIC_UNKNOWN, _unknown(unknown))])
    return Pass(decisions, frozenset(changed))


def measure(instances: Sequence[Instance], readings: Readings | None, now: datetime) -> Measured:
    """Return the load of a deployment.

    What a replica used before it was ready is not counted: a start often takes more than the requests afterwards.
    """
    staying = [instance for instance in instances if instance.leaving_since is None]
    present = [instance for instance in staying if instance.state not in (FAILED, ERRORED)]
    if readings is None:
        return Measured(starting=len(present))
    ready = [instance for instance in present if instance.state == HEALTHY and instance.since <= readings.before.at]
    values = _values(readings) if now - readings.after.at <= MAX_AGE else {}
    return Measured(
        [
            {metric: by_id[instance.id] for metric, by_id in values.items() if instance.id in by_id}
            for instance in ready
        ],
        len(present) - len(ready),
        _unfinished(readings, [instance.id for instance in present if instance.state == HEALTHY]) if values else 0,
    )


def _values(readings: Readings) -> dict[str, Mapping[str, float]]:
    """Return the values of each metric, by the id of the instance."""
    before, after = readings
    requests = requests_between(before, after)
    # All replicas share the requests. Without any request, there is no load.
    duration = None if requests is None else mean_duration(requests) or 0.0
    return {
        CPU: {id_: 100 * fraction for id_, fraction in cpu_fractions(before, after).items()},
        MEMORY: {id_: 100 * fraction for id_, fraction in memory_fractions(after).items()},
        REQUEST_DURATION: {} if duration is None else dict.fromkeys(after.loads or (), duration),
    }


def _unfinished(readings: Readings, instance_ids: Iterable[str]) -> int:
    """Return how many replicas have to stay so that none with a request is removed, if no request has ended.

    Args:
        readings: The last two readings.
        instance_ids: The instances that are ready, oldest first: the last ones are removed first.
    """
    requests = requests_between(*readings)
    if requests is None or requests.timed:
        return 0
    loads = readings.after.loads or {}
    busy = {id_ for id_, load in loads.items() if load.active_requests}
    return max((number for number, id_ in enumerate(instance_ids, 1) if id_ in busy), default=0)


def _scaled(wanted: Wanted, decision: Decision, now: datetime) -> Iterator[Scaled]:
    """Return what changes. While a rollout is in progress, the revision that serves gets more replicas too, but not fewer."""
    for revision in {revision.spec_id: revision for revision in wanted if revision and not revision.error}.values():
        if revision.autoscaling:
            replicas = revision.autoscaling.limited(decision.replicas)
            if revision != wanted.target:
                replicas = max(replicas, revision.replicas)
            if replicas != revision.replicas:
                yield Scaled(revision.spec_id, now, revision.replicas, replicas, decision.message)


def _unknown(metrics: Iterable[str]) -> str:
    names = " and ".join(sorted(metrics))
    return f"The value of {names} is unknown, so {names} cannot add replicas, and the server removes no replicas."
