"""The input of the rule: the desired state of one deployment, and its observed state."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient.server.controller.checks import NO_CHECKS, Checks
from paperspace.gradient.server.controller.gateway import NO_ROUTES, Routes
from paperspace.gradient.server.engines.reasons import Reason
from paperspace.gradient.server.engines.runtime import ERRORED, FAILED, HEALTHY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from paperspace.gradient.server.controller.engine import Container
    from paperspace.gradient.server.engines.autoscaling import Autoscaling


class Revision(NamedTuple):
    """A spec that can be run."""

    spec_id: str
    template: str
    """Revisions with the same template can share containers."""
    replicas: int
    error: str | None = None
    """Why it failed. None: it did not."""
    autoscaling: Autoscaling | None = None
    """How it scales. None: the number of its replicas is fixed."""


class Wanted(NamedTuple):
    """The desired state of a deployment."""

    newest: Revision | None
    """None: the deployment is deleted."""
    serving: Revision | None = None
    """The last revision that served, which can be the newest one. None: none has served."""

    @property
    def target(self) -> Revision | None:
        """The revision that should serve: if the newest one has failed, the one before."""
        return self.serving if self.newest and self.newest.error else self.newest


class Instance(NamedTuple):
    """An instance that is not removed, as it is stored."""

    id: str
    spec_id: str
    template: str
    port: int | None
    """The port of 127.0.0.1 that is reserved for it. None: none is reserved yet."""
    attempt: int
    """Each start uses a new container; only the container of this attempt counts."""
    phase: str
    state: str
    message: str
    since: datetime
    """When it entered the state."""
    crashes: int = 0
    """In a row."""
    restart_at: datetime | None = None
    leaving_since: datetime | None = None
    """When it was decided to remove it. This is never undone."""
    checks: Checks = NO_CHECKS
    """The health checks of its spec."""


class Progress(NamedTuple):
    """What an instance waits for. In the phase `Running`, its container is not ready, or not any more."""

    attempt: int
    phase: str
    """Reports of an earlier phase no longer count."""
    message: str
    reason: Reason | None = None
    """The reason of the event of the deployment. None: there is no such event."""


class Responded(NamedTuple):
    """The container is ready: it has responded, or passed its readiness check."""

    attempt: int


class Ended(NamedTuple):
    """The attempt has ended: the container has exited, cannot start, or has failed a health check."""

    attempt: int
    reason: str
    """A sentence, such as `Exited with code 1.`"""
    output: str = ""
    """The last lines of its output."""
    permanent: bool = False
    """Whether all further attempts would end in the same way."""
    unseen: bool = False
    """Whether the engine or the server was down then, which may be the reason."""
    cause: Reason = Reason.CRASHED
    """The reason of its event."""


class PortTaken(NamedTuple):
    """The attempt has ended, because another program uses the port."""

    attempt: int


class Drained(NamedTuple):
    """The gateway has no active requests for the container."""

    attempt: int


Report = Progress | Responded | Ended | PortTaken | Drained


class Observed(NamedTuple):
    """The observed state of a deployment."""

    instances: tuple[Instance, ...] = ()
    """Those that are not removed, oldest first."""
    containers: tuple[Container, ...] = ()
    removed: frozenset[str] = frozenset()
    """The ids of removed instances that still have containers."""
    routes: Routes = NO_ROUTES
    reports: Mapping[str, Report] = {}
    """The last report about each instance, by id."""
    seconds: Mapping[str, float] = {}
    """For how long this server has observed that a container runs, or that an instance is leaving, by id."""


class Limits(NamedTuple):
    """How long the rule waits."""

    progress: timedelta
    """For a new revision to get ready, after the start of a container."""
    drain: timedelta
    """For active requests to end, before a container is stopped."""


class Replica(NamedTuple):
    """An instance with its container."""

    instance: Instance
    container: Container | None
    """The container of the current attempt."""
    stale: tuple[Container, ...]
    """The containers of earlier attempts."""
    routed: bool
    """Whether it gets new requests."""
    draining: bool
    """Whether it got requests before, and may still have active ones."""
    gateway_problem: str | None
    report: Report | None
    """The last report about the current attempt."""
    running_seconds: float
    """For how long this server has observed that the container runs."""
    leaving_seconds: float
    """For how long this server has observed that the instance is leaving."""

    @property
    def ready(self) -> bool:
        """Whether the container is ready, and that is stored."""
        return self.responds and self.instance.state == HEALTHY

    @property
    def responds(self) -> bool:
        """Whether the container runs and is ready, which may not be stored yet."""
        if self.container is None or self.container.state != "running":
            return False
        match self.report:
            case Responded():
                return True
            case Progress(phase="Running") | Ended():
                return False
            case _:
                return self.instance.state == HEALTHY

    @property
    def stops(self) -> bool:
        """Whether the container of an earlier attempt still runs."""
        return any(container.state == "running" for container in self.stale)

    @property
    def available(self) -> bool:
        """Whether it is ready and gets requests."""
        return self.ready and self.routed

    @property
    def failed(self) -> bool:
        """Whether it is not started again."""
        return self.instance.state in (ERRORED, FAILED)

    def belongs_to(self, revision: Revision | None) -> bool:
        """Whether it is an instance of the revision."""
        return revision is not None and self.instance.spec_id == revision.spec_id

    @property
    def leaving(self) -> bool:
        """Whether it was decided to remove it."""
        return self.instance.leaving_since is not None


def replicas_of(observed: Observed) -> list[Replica]:
    """Return the instances with their containers."""
    return [_replica(instance, observed) for instance in observed.instances]


def _replica(instance: Instance, observed: Observed) -> Replica:
    containers = [container for container in observed.containers if container.key.instance_id == instance.id]
    current = [container for container in containers if container.key.attempt == instance.attempt]
    report = observed.reports.get(instance.id)
    return Replica(
        instance,
        container=current[0] if current else None,
        stale=tuple(container for container in containers if container not in current),
        routed=instance.id in observed.routes.routed,
        draining=instance.id in observed.routes.draining,
        gateway_problem=observed.routes.problem,
        report=report if report and report.attempt == instance.attempt else None,
        running_seconds=observed.seconds.get(current[0].id, 0.0) if current else 0.0,
        leaving_seconds=observed.seconds.get(instance.id, 0.0),
    )
