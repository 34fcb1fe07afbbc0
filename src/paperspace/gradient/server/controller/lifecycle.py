"""The life of one instance: port, container, readiness, routes, restarts, and the order in which it all ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paperspace.gradient.server.controller import restarts
from paperspace.gradient.server.controller.state import Drained, Ended, PortTaken, Progress
from paperspace.gradient.server.controller.steps import (
    AssignPort,
    Drain,
    Explain,
    Fail,
    Gone,
    Probe,
    Remove,
    Restart,
    Route,
    SetState,
    Start,
    Started,
    Step,
    Stop,
    Unroute,
    Wake,
)
from paperspace.gradient.server.engines.reasons import Reason
from paperspace.gradient.server.engines.runtime import ERRORED, FAILED, HEALTHY, PENDING, RETRYING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from paperspace.gradient.server.controller.engine import Container
    from paperspace.gradient.server.controller.state import Instance, Limits, Replica, Wanted

PORT_INTERVAL = 10.0  # seconds until an instance looks again for a free port, if there was none


def lifecycle(replica: Replica, wanted: Wanted, now: datetime, limits: Limits) -> Iterator[Step]:
    """Return the next steps of an instance."""
    for container in replica.stale:
        if container.state != "running":
            yield Remove(container.id)
        elif not replica.routed:  # it has failed a health check
            yield Stop(container.id)
    if replica.leaving or replica.failed:
        yield from _end(replica, limits.drain.total_seconds())
        return
    if replica.routed and not replica.responds:
        yield Unroute(replica.instance.id)
    newest, serving = wanted
    on_trial = replica.belongs_to(newest) and not replica.belongs_to(serving)
    if on_trial and newest and newest.error and not replica.responds:
        yield SetState(replica.instance.id, "Failed", FAILED, newest.error)
    elif isinstance(replica.report, Ended):
        yield from _after_end(replica.instance, replica.report, now, on_trial=on_trial)
    elif isinstance(replica.report, PortTaken):
        yield AssignPort(replica.instance.id)
    else:
        yield from _run(replica, now, limits.progress.total_seconds() if on_trial else None)


def _end(replica: Replica, drain_limit: float) -> Iterator[Step]:
    """Take an instance out of the gateway, let its requests end, stop its container and remove it."""
    instance, container = replica.instance, replica.container
    remaining = drain_limit - replica.leaving_seconds if replica.leaving else 0.0
    if replica.routed:
        yield Unroute(instance.id)
    elif container is None:
        if replica.leaving and not replica.stale:
            yield Gone(instance.id)
    elif container.state != "running":
        yield Remove(container.id)
    elif replica.draining and remaining > 0 and not isinstance(replica.report, Drained):
        yield Drain(instance.id, instance.attempt)
        yield Wake(remaining)
    else:
        yield Stop(container.id)


def _after_end(instance: Instance, ended: Ended, now: datetime, *, on_trial: bool) -> Iterator[Step]:
    """Restart an instance whose container has ended, or fail its revision.

    Only the time of the server counts: that of the engine may differ. An end that nobody saw is not counted as a crash: when an engine or a machine is restarted, all containers end.
    """
    if ended.unseen:
        reason = ended.reason.removesuffix(".")
        message = f"{reason} while the server was not connected to the engine; restarting."
        yield SetState(instance.id, "Running", RETRYING, message, Reason.ENDED)
        yield Restart(instance.id, instance.crashes, now)
        return
    healthy_since = instance.since if instance.state == HEALTHY else None
    crashes = restarts.crashes_in_a_row(instance.crashes, healthy_since, now)
    number = "" if ended.cause is Reason.UNHEALTHY else f" (crash {crashes})"  # a failed check has numbers of its own
    crash = f"{ended.reason.removesuffix('.')}{number}"
    output = f" Last output: {ended.output}" if ended.output else ""
    if on_trial and ended.permanent:
        yield from _fail(instance, "Pending", ERRORED, ended.reason, ended.cause)
    elif on_trial and crashes >= restarts.MAX_CRASHES:
        yield from _fail(instance, "Failed", FAILED, f"{crash}; no more restarts.", ended.cause, output)
    else:
        delay = restarts.delay(crashes)
        message = f"{crash}; restarting after {delay.total_seconds():g} s.{output}"
        yield SetState(instance.id, "Running", RETRYING, message, ended.cause)
        yield Restart(instance.id, crashes, now + delay)


def _run(replica: Replica, now: datetime, progress_limit: float | None) -> Iterator[Step]:
    """Start the container of an instance, and follow it to the end."""
    instance, container = replica.instance, replica.container
    if instance.port is None:
        yield AssignPort(instance.id)
        yield Wake(PORT_INTERVAL)
    elif container is None or container.state == "created":
        if instance.state == HEALTHY:
            message = "The container was removed; starting a new container."
            yield SetState(instance.id, "Pending", PENDING, message, Reason.LOST)
        if seconds := restarts.remaining(instance.restart_at, now):
            yield Wake(seconds)
        elif not replica.stops:
            yield Start(instance.id, instance.attempt)
            yield from _progress(replica, "Pending")
    elif container.state == "exited":
        yield Explain(instance.id, container.id)
    else:
        yield from _follow(replica, container, instance.port, progress_limit)


def _follow(replica: Replica, container: Container, port: int, progress_limit: float | None) -> Iterator[Step]:
    """Wait until a running container is ready, and route to it. Run its health checks."""
    instance = replica.instance
    if instance.restart_at or (instance.phase != "Running" and not replica.responds):
        yield Started(instance.id)
    if not replica.responds or instance.checks.continue_when_ready:
        yield Probe(instance.id, instance.attempt, port, instance.checks, container.check_ports)
    if replica.responds:
        yield from _serve(replica)
    else:
        yield from _progress(replica, "Running")
        if progress_limit is not None:
            yield from _check_progress(replica, progress_limit)


def _serve(replica: Replica) -> Iterator[Step]:
    """Route to an instance that responds. Then it is ready: its endpoint responds as soon as anything shows that."""
    instance = replica.instance
    message, reason = f"Ready on 127.0.0.1:{instance.port}.", Reason.READY
    if replica.gateway_problem:
        message += f" It gets no requests: {replica.gateway_problem}"
        reason = Reason.GATEWAY_UNAVAILABLE
    if not replica.routed:
        yield Route(instance.id)
    elif (instance.state, instance.message) != (HEALTHY, message):
        yield SetState(instance.id, "Running", HEALTHY, message, reason)


def _progress(replica: Replica, phase: str) -> Iterator[Step]:
    """Say what an instance waits for. The reason of a crash stays until there is something newer to say."""
    instance, report = replica.instance, replica.report
    message, reason = instance.message, None
    if isinstance(report, Progress) and report.phase == phase:
        message, reason = report.message, report.reason
    elif phase == "Running" and instance.phase != phase:
        message = "The container is starting."
    if message != instance.message:
        yield SetState(instance.id, phase, RETRYING if instance.crashes else PENDING, message, reason)


def _check_progress(replica: Replica, limit: float) -> Iterator[Step]:
    """Fail the revision of a container that does not get ready, once a probe has said why.

    The controller may have been down when the container became ready. One that is not ready any more had been in time.
    """
    instance, report = replica.instance, replica.report
    limit += instance.checks.start_time
    if replica.running_seconds < limit:
        yield Wake(limit - replica.running_seconds)
    elif isinstance(report, Progress) and report.phase == "Running" and report.reason is not Reason.UNREADY:
        message = f"Not ready {limit:g} s after its start. {report.message}"
        yield from _fail(instance, "Failed", FAILED, message, Reason.UNHEALTHY)


def _fail(instance: Instance, phase: str, state: str, message: str, reason: Reason, output: str = "") -> Iterator[Step]:
    """Fail an instance and its revision. The last output is a detail of the instance: its log has it too."""
    yield SetState(instance.id, phase, state, f"{message}{output}", reason)
    yield Fail(instance.spec_id, message)
