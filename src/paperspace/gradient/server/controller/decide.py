"""Apply the rule to one deployment, in one transaction: store its changes until only work is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient.server.controller.rollout import next_steps
from paperspace.gradient.server.controller.state import Limits, Observed, Report
from paperspace.gradient.server.controller.steps import Add, Change, Restart, Route, SetState, Step
from paperspace.gradient.server.engines.runtime import ERRORED, FAILED, HEALTHY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from paperspace.gradient.server.controller.engine import Container
    from paperspace.gradient.server.controller.gateway import Routes
    from paperspace.gradient.server.controller.records import Records
    from paperspace.gradient.server.controller.stopwatch import Stopwatch
    from paperspace.gradient.server.engines.reasons import Reason
    from paperspace.gradient.server.protection import Access


class Decision(NamedTuple):
    """What is left to do for a deployment."""

    steps: list[Step]
    instance_ids: frozenset[str]
    """The instances that are not removed."""
    exists: bool
    """Whether the deployment is not deleted."""
    finished: bool
    """Whether nothing runs, and nothing has to run. Containers that the database does not know are kept, and do not count."""
    restarts: int = 0
    """How many instances were restarted because they had crashed."""
    access: Access | None = None
    """Who may use its endpoint. None: everyone."""
    seconds: Mapping[str, float] = {}
    """As in `Observed`."""


def decide(
    records: Records,
    deployment_id: str,
    containers: Sequence[Container],
    routes: Routes,
    reports: Mapping[str, Report],
    limits: Limits,
    stopwatch: Stopwatch,
) -> Decision:
    """Store the changes that the rule demands, and return what is left to do.

    Args:
        records: The database, in a transaction.
        deployment_id: The id of the deployment.
        containers: All its containers, listed after the reports were made.
        routes: The instances that the gateway knows.
        reports: The last report about each instance.
        limits: How long the rule waits.
        stopwatch: Measures how long something has been the case in this deployment.
    """
    removed = records.removed({container.key.instance_id for container in containers})
    stored: list[Change] = []
    restarts = 0
    while True:
        instances = records.instances(deployment_id)
        seconds = stopwatch.observe(
            [container.id for container in containers if container.state == "running"]
            + [instance.id for instance in instances if instance.leaving_since]
        )
        observed = Observed(instances, tuple(containers), removed, routes, reports, seconds)
        wanted = records.wanted(deployment_id)
        steps = next_steps(wanted, observed, records.now, limits)
        changes = [step for step in steps if isinstance(step, Change)]
        if not changes or changes == stored:
            return Decision(
                [step for step in steps if not isinstance(step, Change)],
                frozenset(instance.id for instance in observed.instances),
                exists=deployment_id in records.existing([deployment_id]),
                finished=wanted.newest is None and not observed.instances and not removed,
                restarts=restarts,
                access=records.access(deployment_id, routes.routed | _to_be_routed(steps)),
                seconds=seconds,
            )
        for change in changes:
            records.store(change)
            restarts += isinstance(change, Restart)
        stored = changes


def _to_be_routed(steps: Sequence[Step]) -> frozenset[str]:
    return frozenset(step.instance_id for step in steps if isinstance(step, Route))


def show_unavailable(records: Records, deployment_id: str, message: str, reason: Reason) -> None:
    """Show in the states of instances that nothing can be started. Those that are ready probably still are."""
    wanted, instances = records.wanted(deployment_id), records.instances(deployment_id)
    if not instances and wanted.newest and not wanted.newest.error and wanted.newest.replicas:
        records.store(Add(wanted.newest.spec_id, wanted.newest.replicas))
        instances = records.instances(deployment_id)
    for instance in instances:
        if instance.state not in (HEALTHY, ERRORED, FAILED) and instance.leaving_since is None:
            records.store(SetState(instance.id, instance.phase, instance.state, message, reason))
