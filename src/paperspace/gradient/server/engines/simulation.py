"""The simulated runtime: no containers run.

A container starts one time step after its creation and is healthy one step later; each instance starts half a step
after the previous one. Each new healthy instance replaces one old instance. Autoscaling decides every 15 seconds.
Nothing here waits: the events have times in the future.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.spec_rules import DEFAULT_PORT
from paperspace.gradient.server.engines.autoscaling import Measured, Proposal, autoscaling_of, decide, desired_replicas
from paperspace.gradient.server.engines.reasons import Reason
from paperspace.gradient.server.engines.runtime import (
    ERRORED,
    FAILED,
    HEALTHY,
    PENDING,
    RETRYING,
    DesiredState,
    Event,
    Instance,
    InstanceAdded,
    InstanceRemoved,
    LineLogged,
    Scaled,
    StateChanged,
    UnsupportedSpecError,
)
from paperspace.gradient.server.ids import derived_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_REPLICAS = 100
DECISION_INTERVAL = timedelta(seconds=15)
CRASHES = 3
SCENARIO_VARIABLE = "GRADIENT_SIMULATE"


class Scenario(StrEnum):
    """What happens to the instances of a deployment."""

    HEALTHY = "healthy"
    FAIL = "fail"
    CRASH_LOOP = "crash-loop"
    PENDING = "pending"


class Simulation:
    """Simulate deployments.

    Attributes:
        step: How long a container takes to start, and then to become healthy.
        scenarios: The scenarios of each deployment name, by image; that of None applies to all other images. Without one,
            the spec's variable `GRADIENT_SIMULATE` applies.
        loads: The load of each deployment name: the value of each metric if it had one replica. More replicas share it.
            Without one, there is no load.
    """

    simulated = True

    def __init__(self, step: timedelta = timedelta(seconds=1)) -> None:
        self.step = step
        self.scenarios: dict[str, dict[str | None, Scenario]] = {}
        self.loads: dict[str, Mapping[str, float]] = {}

    def replicas(self, desired: DesiredState) -> int:
        """Return the number of instances to simulate.

        Raises:
            UnsupportedSpecError: the spec asks for too many.
        """
        replicas = desired_replicas(desired.spec, desired.scale)
        if replicas > MAX_REPLICAS:
            raise UnsupportedSpecError(f"Simulated: {replicas} replicas are too many; the limit is {MAX_REPLICAS}.")
        return replicas

    def initial_instances(self, replicas: int) -> int:
        """Return that a run gets all its instances at once."""
        return replicas

    def run(self, desired: DesiredState | None, instances: Sequence[Instance], now: datetime) -> Iterator[Event]:
        """Return everything that will happen to the instances, from now on."""
        current = [instance for instance in instances if instance.current]
        old = [instance for instance in instances if not instance.current]
        replicas = 0
        healthy_times: list[datetime] = []
        if desired is not None:
            replicas = self.replicas(desired)
            for index, instance in enumerate(current[:replicas]):
                events = list(self._start(desired, instance, now, now + index * self.step / 2))
                yield from events
                states = [(event.state, event.at) for event in events if isinstance(event, StateChanged)]
                state, at = states[-1] if states else (instance.state, now)
                if state == HEALTHY:
                    healthy_times.append(at)
            if len(healthy_times) == replicas:
                yield from self._scale(desired, current[:replicas], max(healthy_times, default=now))
        for instance in current[replicas:]:
            yield from _remove(instance, now)
        yield from self._replace(old, replicas, sorted(healthy_times), now)

    def _scale(self, desired: DesiredState, instances: Sequence[Instance], ready_at: datetime) -> Iterator[Event]:
        """Return what autoscaling will do to the instances, all of which are ready at this time."""
        for scaled in self._decisions(desired, len(instances), ready_at):
            yield scaled
            kept = instances[: scaled.replicas]
            for instance in instances[scaled.replicas :]:
                yield from _remove(instance, scaled.at)
            added = [
                Instance(derived_id(desired.spec_id, f"instance {index} of {scaled.at}", scaled.at), True, None)
                for index in range(scaled.replicas - len(kept))
            ]
            for index, instance in enumerate(added):
                yield InstanceAdded(instance.id, scaled.at, desired.spec_id)
                yield from self._start(desired, instance, scaled.at, scaled.at + index * self.step / 2)
            instances = [*kept, *added]

    def _decisions(self, desired: DesiredState, replicas: int, ready_at: datetime) -> Iterator[Scaled]:
        """Return the changes of the number of replicas, until the load does not require any more. Each waits for the replicas."""
        autoscaling, load = autoscaling_of(desired.spec), self.loads.get(desired.name, {})
        if autoscaling is None:
            return
        autoscaling = autoscaling._replace(maximum=min(autoscaling.maximum, MAX_REPLICAS))
        at, window = ready_at, tuple[Proposal, ...]()
        while True:
            at += DECISION_INTERVAL
            values = {target.metric: load.get(target.metric, 0.0) / replicas for target in autoscaling.targets}
            decision = decide(autoscaling, replicas, Measured([values] * replicas), window, at)
            if decision.replicas != replicas:
                yield Scaled(desired.spec_id, at, replicas, decision.replicas, decision.message)
                at += self._start_time(decision.replicas - replicas)
            elif {proposal.replicas for proposal in decision.window} == {replicas}:
                return
            replicas, window = decision.replicas, decision.window

    def _start_time(self, replicas: int) -> timedelta:
        """Return how long it takes until new replicas are ready."""
        return 2 * self.step + (replicas - 1) * self.step / 2 if replicas > 0 else timedelta()

    def _start(
        self, desired: DesiredState, instance: Instance, now: datetime, creation_time: datetime
    ) -> Iterator[Event]:
        """Return the events of one instance of the newest spec; none if it is healthy and stays healthy."""
        scenario = self._scenario(desired)
        if instance.state == HEALTHY and scenario is Scenario.HEALTHY:
            return
        id_, image = instance.id, desired.spec["image"]
        yield LineLogged(id_, now, f"[simulated] waiting for a machine for {image}")
        yield StateChanged(id_, now, "Pending", PENDING, "Simulated: waiting for a machine.")
        if scenario is Scenario.PENDING:
            return
        at = creation_time + self.step
        if scenario is Scenario.FAIL:
            yield LineLogged(id_, at, f"[simulated] cannot pull the image {image}")
            message = f"Simulated: cannot pull the image {image}."
            yield StateChanged(id_, at, "Pending", ERRORED, message, Reason.PULL_FAILED)
            return
        yield LineLogged(id_, at, f"[simulated] {image} started, port {_port(desired.spec)}")
        yield StateChanged(id_, at, "Running", PENDING, "Simulated: the container is starting.", Reason.STARTED)
        at += self.step
        if scenario is Scenario.CRASH_LOOP:
            yield from self._crash(id_, at)
            return
        yield LineLogged(id_, at, "[simulated] ready")
        yield StateChanged(id_, at, "Running", HEALTHY, "Simulated: ready.", Reason.READY)

    def _crash(self, instance_id: str, at: datetime) -> Iterator[Event]:
        """Return the events of a container that crashes after each start, until it is no longer restarted."""
        for crash in range(1, CRASHES + 1):
            yield LineLogged(instance_id, at, "[simulated] exited with code 1")
            message = f"Simulated: exited with code 1 (crash {crash}); restarting."
            yield StateChanged(instance_id, at, "Running", RETRYING, message, Reason.CRASHED)
            at += self.step
        yield LineLogged(instance_id, at, "[simulated] exited with code 1; no more restarts")
        message = f"Simulated: exited with code 1 (crash {CRASHES + 1}); no more restarts."
        yield StateChanged(instance_id, at, "Failed", FAILED, message, Reason.CRASHED)

    def _replace(
        self, old: Sequence[Instance], replicas: int, healthy_times: Sequence[datetime], now: datetime
    ) -> Iterator[Event]:
        """Return the removals of instances of older specs: one for each new instance that becomes healthy."""
        serving = [instance for instance in old if instance.state == HEALTHY]
        for instance in old:
            if instance not in serving:
                yield from _remove(instance, now)
        for healthy_count, at in enumerate([now] if replicas == 0 else healthy_times, start=1):
            kept = max(replicas - healthy_count, 0)
            for instance in serving[kept:]:
                yield from _remove(instance, at + self.step)
            serving = serving[:kept]

    def _scenario(self, desired: DesiredState) -> Scenario:
        by_image = self.scenarios.get(desired.name, {})
        scenario = by_image.get(desired.spec["image"]) or by_image.get(None)
        if scenario is not None:
            return scenario
        for variable in desired.spec.get("env") or ():
            if variable["name"] == SCENARIO_VARIABLE and variable["value"] in set(Scenario):
                return Scenario(variable["value"])
        return Scenario.HEALTHY


def _remove(instance: Instance, at: datetime) -> Iterator[Event]:
    if instance.state != FAILED:  # a failed instance has stopped already and logs nothing more
        yield LineLogged(instance.id, at, "[simulated] stopped")
    yield InstanceRemoved(instance.id, at, "Simulated: removed.")


def _port(spec: Mapping[str, Any]) -> int:
    port: int | None = spec.get("port")
    return DEFAULT_PORT if port is None else port
