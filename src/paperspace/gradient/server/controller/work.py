"""The work of steps: what the controller does with the engine, the gateway and the containers.

Each function does the work of one step and reports what it found. It can be cancelled at any time, and repeated.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from paperspace.gradient._shared.daemon_threads import in_daemon_thread
from paperspace.gradient.server.controller import restarts
from paperspace.gradient.server.controller.engine import (
    CloneError,
    EngineUnavailableError,
    ImageError,
    PortInUseError,
    PreparationError,
    StartError,
)
from paperspace.gradient.server.controller.probes import probe
from paperspace.gradient.server.controller.state import Drained, Ended, PortTaken, Progress
from paperspace.gradient.server.controller.steps import Drain, Explain, Probe, Remove, Start, Stop, Work
from paperspace.gradient.server.engines.reasons import Reason
from paperspace.gradient.server.engines.runtime import UnsupportedSpecError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from paperspace.gradient.server.controller.engine import Container, ContainerKey, Engine, Workload
    from paperspace.gradient.server.controller.gateway import Router
    from paperspace.gradient.server.controller.logs import Logs
    from paperspace.gradient.server.controller.records import Assignment, Records
    from paperspace.gradient.server.controller.state import Report

T = TypeVar("T")

LAST_LINES = 5  # of a container's output, in the reason of its end
LAST_LINES_TIMEOUT = 1.0  # seconds
LOG_TIMEOUT = 5.0  # to store the log of a container that has exited, before its end is reported


class Change(Protocol):
    """Runs a function in a transaction that can change the database."""

    async def __call__(self, function: Callable[[Records], T], /) -> T:
        """Run the function and return its result."""
        ...


class Tools(NamedTuple):
    """What the work needs, the same for all deployments."""

    engine: Engine
    router: Router
    change: Change
    stop_grace: float
    """Seconds between SIGTERM and SIGKILL."""
    starts: asyncio.Semaphore
    """Limits how many containers start at the same time."""
    commands: asyncio.Semaphore
    """Limits how many commands of health checks start at the same time."""
    logs: Logs


class Site(NamedTuple):
    """Where the work is done: a deployment."""

    deployment_id: str
    containers: Sequence[Container]
    """The observed containers of the deployment."""
    report: Callable[[str, Report], None]
    """Called with the id of an instance."""
    seconds: Mapping[str, float]
    """For how long each container has run, as in `Observed`."""
    commands: asyncio.Semaphore
    """Limits how many commands of health checks of the deployment start at the same time."""
    pinning: asyncio.Lock
    """Held by the replica that pins the image and the commits of a revision. The others wait for it."""


async def work(step: Work, tools: Tools, site: Site) -> None:
    """Do the work of a step.

    Raises:
        EngineUnavailableError: the engine does not respond.
    """
    match step:
        case Start():
            await _start(step, tools, site)
        case Probe():
            await probe(step, tools, site)
        case Explain(instance_id, container_id):
            await _explain(instance_id, container_id, tools, site)
        case Drain(instance_id, attempt):
            await tools.router.drained(site.deployment_id, instance_id)
            site.report(instance_id, Drained(attempt))
        case Stop(container_id):
            await tools.engine.stop(container_id, tools.stop_grace)
        case Remove(container_id):
            await tools.logs.finish(_container(site, container_id))
            await tools.engine.remove(container_id)


async def _start(step: Start, tools: Tools, site: Site) -> None:
    assignment = await tools.change(lambda records: records.assignment(step.instance_id))
    if assignment.key.attempt != step.attempt:
        return

    def progress(message: str, reason: Reason | None = None) -> None:
        site.report(step.instance_id, Progress(step.attempt, "Pending", message, reason))

    def ended(reason: str, cause: Reason, *, permanent: bool = False) -> None:
        site.report(step.instance_id, Ended(step.attempt, reason, permanent=permanent, cause=cause))

    try:
        notes = await in_daemon_thread(tools.engine.check, assignment.workload)  # it may wait for a file system
        async with nullcontext() if assignment.workload.is_pinned else site.pinning:
            assignment = await tools.change(lambda records: records.assignment(step.instance_id))
            workload = await _prepared(assignment, notes, tools, progress)
        progress(" ".join(["Starting the container.", *notes]))
        async with tools.starts:
            await tools.engine.start(assignment.key, workload, assignment.port)
    except EngineUnavailableError as error:
        # Shown if the engine responds otherwise, for example if its disk is full.
        progress(str(error), Reason.ENGINE_UNAVAILABLE)
        raise
    except PortInUseError:
        site.report(step.instance_id, PortTaken(step.attempt))
    except ImageError as error:
        ended(str(error), Reason.PULL_FAILED, permanent=True)
    except CloneError as error:
        ended(str(error), Reason.CLONE_FAILED, permanent=True)
    except (StartError, UnsupportedSpecError) as error:  # the second: since the spec was accepted, a name was deleted
        ended(str(error), Reason.START_FAILED)


async def _prepared(
    assignment: Assignment, notes: Sequence[str], tools: Tools, progress: Callable[[str, Reason], None]
) -> Workload:
    """Return the workload with its image and the commits of its repositories, which are pinned and present.

    Raises:
        ImageError: the image cannot be pulled.
        CloneError: a repository cannot be cloned.
    """
    workload = await _with_image(assignment, notes, tools, progress)
    if workload.repositories:
        workload = await _with_commits(assignment.key, workload, tools, progress)
    return workload


async def _with_image(
    assignment: Assignment, notes: Sequence[str], tools: Tools, progress: Callable[[str, Reason], None]
) -> Workload:
    """Return the workload with its image, which is present.

    Raises:
        ImageError: the image cannot be pulled.
    """
    key, workload = assignment.key, assignment.workload
    image = await _retried(
        lambda: tools.engine.resolve(workload, lambda message: progress(message, Reason.PULLING)),
        lambda message: progress(message, Reason.PULL_FAILED),
    )
    await tools.change(lambda records: records.pins.image(key, image, notes))
    return workload._replace(image_id=image.id)


async def _with_commits(
    key: ContainerKey, workload: Workload, tools: Tools, progress: Callable[[str, Reason], None]
) -> Workload:
    """Return the workload with the commits of its repositories, whose files are present.

    Raises:
        CloneError: a repository cannot be cloned.
    """

    async def remove_unused() -> None:
        in_use = await tools.change(lambda records: records.pins.commits_in_use())
        await tools.engine.remove_unused(key, workload, in_use)

    try:
        commits = await _retried(
            lambda: tools.engine.clone(key, workload, lambda message: progress(message, Reason.CLONING)),
            lambda message: progress(message, Reason.CLONE_FAILED),
        )
    except CloneError:
        await remove_unused()  # some of the repositories may have been cloned
        raise
    names = [repository.name for repository in workload.repositories]
    await tools.change(lambda records: records.pins.commits(key, names, commits))
    await remove_unused()
    return workload._replace(commits=commits)


async def _retried(attempt: Callable[[], Awaitable[T]], progress: Callable[[str], None]) -> T:
    """Return what an attempt returns. A failure that may pass is shown, and another attempt follows.

    Raises:
        PreparationError: another attempt would fail too.
    """
    failures = 0
    while True:
        try:
            return await attempt()
        except PreparationError as error:
            if error.permanent:
                raise
            failures += 1
            delay = restarts.delay(failures).total_seconds()
            progress(f"{error} The next attempt follows after {delay:g} s.")
            await asyncio.sleep(delay)


async def _explain(instance_id: str, container_id: str, tools: Tools, site: Site) -> None:
    container = _container(site, container_id)
    with suppress(TimeoutError):  # it is stored later, before the container is removed
        async with asyncio.timeout(LOG_TIMEOUT):
            await tools.logs.finish(container)  # first: who sees that an instance has failed reads why
    lines: Sequence[str] = ()
    with suppress(TimeoutError, EngineUnavailableError):  # the reason of the end matters more than the output
        async with asyncio.timeout(LAST_LINES_TIMEOUT):
            lines = await tools.engine.last_lines(container_id, LAST_LINES)
    ended = Ended(
        container.key.attempt,
        restarts.exit_reason(container),
        restarts.output_excerpt(lines),
        unseen=container.ended_unseen,
    )
    site.report(instance_id, ended)


def _container(site: Site, container_id: str) -> Container:
    (container,) = (container for container in site.containers if container.id == container_id)
    return container
