"""The controller: makes the engine run what the database asks for."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, Self

from paperspace.gradient.server.clock import utc_now
from paperspace.gradient.server.controller.autoscaler import Autoscaler
from paperspace.gradient.server.controller.command_limit import MAX_COMMANDS
from paperspace.gradient.server.controller.engine import EngineUnavailableError
from paperspace.gradient.server.controller.gateway import NoGateway
from paperspace.gradient.server.controller.listing import Listing
from paperspace.gradient.server.controller.logs import NoLogs, outdated
from paperspace.gradient.server.controller.ports import DEFAULT_PORTS
from paperspace.gradient.server.controller.sampling import Sampler
from paperspace.gradient.server.controller.state import Limits
from paperspace.gradient.server.controller.supervision import run_forever
from paperspace.gradient.server.controller.work import Tools
from paperspace.gradient.server.controller.worker import Worker
from paperspace.gradient.server.tasks import cancel

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence
    from datetime import datetime

    from paperspace.gradient.server.controller.engine import Engine
    from paperspace.gradient.server.controller.gateway import Router
    from paperspace.gradient.server.controller.logs import Logs
    from paperspace.gradient.server.controller.records import Records
    from paperspace.gradient.server.controller.work import Change

_log = logging.getLogger(__name__)

RESYNC_INTERVAL = 30.0  # seconds
RESYNC_GROUP = 50  # deployments that are looked at together
RESYNC_GROUP_TIMEOUT = 1.0  # seconds until the next group is not delayed any longer

MAX_STARTS = 8  # containers that start at the same time; more only slow each other down


class Options(NamedTuple):
    """How the controller runs containers."""

    ports: range = DEFAULT_PORTS
    """The ports of 127.0.0.1 for containers."""
    progress_deadline: timedelta = timedelta(minutes=10)
    """For a new revision to get ready, after the start of a container."""
    drain_timeout: timedelta = timedelta(minutes=5)
    """For active requests to end, before a container is stopped."""
    stop_grace: float = 10.0
    """Seconds between SIGTERM and SIGKILL."""


DEFAULT_OPTIONS = Options()


class Controller:
    """Runs all deployments of a database on an engine, in an `async with` block. Containers outlive it.

    Args:
        engine: Runs the containers.
        change: Runs a function in a transaction.
        server_id: The label of all containers.
        router: Sends requests to containers. None: nothing does.
        logs: Stores the logs of containers. None: nothing does.
        options: How to run containers.
        now: Returns the current time.

    Attributes:
        sampler: Takes readings of what deployments use.
    """

    def __init__(
        self,
        engine: Engine,
        change: Change,
        server_id: str,
        *,
        router: Router | None = None,
        logs: Logs | None = None,
        options: Options = DEFAULT_OPTIONS,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._engine = engine
        self._change = change
        self._server_id = server_id
        self._limits = Limits(options.progress_deadline, options.drain_timeout)
        self._listing = Listing(engine)
        self._router = router or NoGateway()
        self._router.call_on_change(self._resync_soon)
        self._logs = logs or NoLogs()
        self.sampler = Sampler(engine, self._listing, self._router, now)
        self._autoscaler = Autoscaler(self.sampler, change, self.wake)
        self._tools = Tools(
            engine,
            self._router,
            change,
            options.stop_grace,
            starts=asyncio.Semaphore(MAX_STARTS),
            commands=asyncio.Semaphore(MAX_COMMANDS),
            logs=self._logs,
        )
        self._committed = asyncio.Event()
        self._looked = now()
        self._resync_requested = asyncio.Event()
        self._workers: dict[str, Worker] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reported: frozenset[str] = frozenset()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._cancel_tasks)
            loops = (self._follow_engine, self._follow_commits, self._resync, self.sampler.run, self._autoscaler.run)
            for loop in loops:
                self._start_task(run_forever(loop))
            self._exit = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    def notify(self) -> None:
        """Look for changes in the database: something was committed."""
        self._committed.set()

    def wake(self, deployment_ids: Iterable[str]) -> None:
        """Apply the rule to deployments."""
        for id_ in deployment_ids:
            if id_ in self._workers:
                self._workers[id_].wake()
            else:
                self._workers[id_] = Worker(id_, self._tools, self._listing, self._limits)
                self._start_task(self._run_worker(id_, self._workers[id_]))

    def lag(self) -> float:
        """Return for how many seconds a change of a deployment has been waiting to be applied; the longest time of all."""
        return max((worker.lag() for worker in self._workers.values()), default=0.0)

    def restarts(self) -> dict[str, int]:
        """Return how often instances of each deployment were restarted because they had crashed, since the start."""
        return {id_: worker.restarts for id_, worker in self._workers.items()}

    async def in_use(self) -> frozenset[str] | None:
        """Return the ids of the deployments that have a container, a route or work to do. None: the engine does not respond."""
        try:
            listed = await self._listing.deployments()
        except EngineUnavailableError:
            return None
        return frozenset([*listed, *self._workers, *self._router.deployments()])

    async def _run_worker(self, deployment_id: str, worker: Worker) -> None:
        try:
            await worker.run()
        finally:
            del self._workers[deployment_id]

    async def _follow_engine(self) -> None:
        """Connect to the engine, and wake the deployments whose containers change."""
        await self._engine.open(self._server_id)
        async for deployment_id in self._engine.changes():
            if deployment_id is None:
                self._resync_soon()
            else:
                self.wake([deployment_id])

    async def _follow_commits(self) -> None:
        """Wake the deployments that a request has changed."""
        await self._committed.wait()
        self._committed.clear()
        try:
            changed, self._looked = await self._change(lambda records: (records.changed(self._looked), records.now))
        except Exception:
            self._committed.set()  # the commit is still unknown
            raise
        self.wake(changed)

    def _resync_soon(self) -> None:
        """Look at everything from the beginning."""
        self._resync_requested.set()

    async def _resync(self) -> None:
        """Look at everything now and then, in case something was missed."""
        self._resync_requested.clear()
        await self._drop_logs()
        await self._wake_all()
        with suppress(TimeoutError):
            async with asyncio.timeout(RESYNC_INTERVAL):
                await self._resync_requested.wait()

    async def _wake_all(self) -> None:
        """Wake all deployments that exist, or of which instances, containers, routes or files are left."""
        woken = await self._wake_in_groups(await self._change(lambda records: records.unfinished()))
        woken |= await self._wake_in_groups(
            {*self._router.deployments(), *await self._engine.stored(), *self._workers} - woken
        )
        containers = [container for group in (await self._listing.deployments()).values() for container in group]
        instance_ids = frozenset(container.key.instance_id for container in containers)
        unknown = await self._change(lambda records: records.unknown(instance_ids))
        known = {container.key.deployment_id for container in containers if container.key.instance_id not in unknown}
        await self._wake_in_groups(known - woken)
        if unknown - self._reported:
            _log.warning(
                "containers of this server that are not in its database: %d; they are kept. `gradient server prune` shows "
                "and removes them",
                len(unknown),
            )
        self._reported = unknown

    async def _wake_in_groups(self, deployment_ids: Iterable[str]) -> set[str]:
        """Wake deployments and return their ids. One group follows another: no change of a request waits for all of them."""
        left = list(deployment_ids)
        woken: set[str] = set()
        while left:
            group, left = left[:RESYNC_GROUP], left[RESYNC_GROUP:]
            self.wake(group)
            woken.update(group)
            with suppress(TimeoutError):
                async with asyncio.timeout(RESYNC_GROUP_TIMEOUT):
                    for worker in [self._workers[id_] for id_ in group]:
                        await worker.idle.wait()
        return woken

    async def _drop_logs(self) -> None:
        """Drop the logs that are not kept any more. If there are none, space of earlier ones is returned to the disk."""
        logs = await self._logs.logs()
        outdated = await self._change(lambda records: _outdated_logs(records, logs)) if logs else []
        await self._logs.drop(outdated)

    def _start_task(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancel_tasks(self) -> None:
        await cancel(self._tasks)


def _outdated_logs(records: Records, logs: Sequence[tuple[str, str]]) -> list[str]:
    deployment_ids, instance_ids = {deployment_id for deployment_id, _ in logs}, {id_ for _, id_ in logs}
    return outdated(
        logs, records.removed(instance_ids) | records.unknown(instance_ids), records.existing(deployment_ids)
    )
