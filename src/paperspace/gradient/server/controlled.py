"""The deployments of a server in containers: the lock, the gateway and the controller, put together."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

from paperspace.gradient.server.controller.controller import Controller, Options
from paperspace.gradient.server.controller.down import Drain, Estate, describe_engine, take_down
from paperspace.gradient.server.controller.engine import EngineUnavailableError
from paperspace.gradient.server.controller.gateway import GatewayUnavailableError
from paperspace.gradient.server.controller.host_lock import keep_young, locked_containers
from paperspace.gradient.server.controller.log_store import LogStore
from paperspace.gradient.server.controller.logs import Collector
from paperspace.gradient.server.controller.recording import Recorder
from paperspace.gradient.server.controller.records import Records
from paperspace.gradient.server.controller.side_store import SideStore
from paperspace.gradient.server.controller.supervision import run_forever
from paperspace.gradient.server.storage.identity import server_id
from paperspace.gradient.server.storage.metric_file import MetricFile
from paperspace.gradient.server.storage.purge import unknown
from paperspace.gradient.server.storage.summary import deployment_states
from paperspace.gradient.server.tasks import cancel

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from paperspace.gradient.server.controller.down import Down
    from paperspace.gradient.server.controller.engine import Engine
    from paperspace.gradient.server.controller.gateway import Gateway
    from paperspace.gradient.server.dispatcher import Dispatcher
    from paperspace.gradient.server.storage.side_file import Location

T = TypeVar("T")

_log = logging.getLogger(__name__)


class ControlledDeployments:
    """Run deployments on an engine, in an `async with` block. They outlive it, unless they are taken down before.

    Args:
        dispatcher: Has the database.
        engine: Runs the containers.
        gateway: Sends the requests of endpoints to containers.
        logs: Where the logs of containers are stored.
        metrics: Where the metrics of deployments are stored.
        options: How to run containers.
        new_id: Generates the ids of instances.
        now: Returns the current time.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        engine: Engine,
        gateway: Gateway | None,
        logs: Location,
        metrics: Location,
        options: Options,
        new_id: Callable[[], UUID],
        now: Callable[[], datetime],
    ) -> None:
        self._dispatcher = dispatcher
        self._id = ""
        self._options = options
        self._new_id = new_id
        self._now = now
        self._controlling = AsyncExitStack()
        self._stack = AsyncExitStack()
        self._store = LogStore(logs)
        self._logs = Collector(engine, self._store)
        self._metrics = SideStore("metrics", partial(MetricFile, metrics))
        self.controller: Controller | None = None
        self.estate = Estate(engine, gateway, self._logs, self._change, options.stop_grace)

    async def __aenter__(self) -> Self:
        engine, gateway = self.estate.engine, self.estate.gateway
        self._id = await self._dispatcher.change(lambda backend: server_id(backend.database))
        async with AsyncExitStack() as stack:
            lock = stack.enter_context(locked_containers(self._id))
            stack.push_async_callback(cancel, [asyncio.create_task(run_forever(partial(keep_young, lock)))])
            if gateway:
                await gateway.open()
                stack.push_async_callback(gateway.close)
            stack.push_async_callback(engine.close)
            await stack.enter_async_context(self._store)
            stack.push_async_callback(self._logs.close)
            await self._metrics.open()
            stack.push_async_callback(self._metrics.close)
            self._controlling = await stack.enter_async_context(AsyncExitStack())
            await self._control()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _control(self) -> None:
        """Start a controller, which runs until `_controlling` is closed."""
        engine, gateway = self.estate.engine, self.estate.gateway
        self.controller = controller = Controller(
            engine, self._change, self._id, router=gateway, logs=self._logs, options=self._options, now=self._now
        )
        await self._controlling.enter_async_context(controller)
        self._record(controller)
        self._let_purge(controller)
        self._dispatcher.committed = controller.notify

    def _record(self, controller: Controller) -> None:
        """Store the figures of all deployments, as long as the controller runs."""
        recorder = Recorder(
            controller.sampler,
            self._metrics,
            lambda: self._dispatcher.read(lambda backend: deployment_states(backend.database)),
        )
        task = asyncio.create_task(run_forever(recorder.run))
        self._controlling.push_async_callback(cancel, [task])

    def _let_purge(self, controller: Controller) -> None:
        """Let deleted deployments be removed when nothing of them is left, as long as the controller runs."""
        purge = self._dispatcher.purge
        purge.in_use = controller.in_use
        self._controlling.callback(setattr, purge, "in_use", unknown)

    async def running(self) -> int:
        """Return the number of deployments with instances, also if the database cannot be changed any more."""
        ports = self._options.ports
        return await self._dispatcher.read(
            lambda backend: Records(backend.database, backend.workloads, ports).running()
        )

    async def take_down(self, drain: Drain, report: Callable[[str], None]) -> Down:
        """Stop all deployments, and remove the gateway. Afterwards nothing is started any more.

        After an error, deployments are controlled as before: what was stopped starts again.

        Args:
            drain: How long active requests may take.
            report: Called with a sentence about each step.

        Raises:
            EngineUnavailableError: the engine does not respond. If it does not respond at first, nothing was changed.
            GatewayUnavailableError: the gateway cannot be removed.
        """
        await describe_engine(self.estate.engine)
        try:
            return await self._take_down(drain, report)
        except Exception as error:
            if isinstance(error, GatewayUnavailableError | OSError):  # the removal of the gateway begins with its end
                await self._reopen_gateway()
            await self._control()
            raise

    async def end(self, drain_seconds: float) -> None:
        """Stop what no later server would find. Whether that succeeds or not, nothing is started any more."""
        try:
            await describe_engine(self.estate.engine)
            await self._take_down(Drain(drain_seconds), _log.debug)
        except (EngineUnavailableError, GatewayUnavailableError) as error:
            _log.warning("%s Some containers with the label gradient.server may still exist.", error)

    async def _take_down(self, drain: Drain, report: Callable[[str], None]) -> Down:
        await self._controlling.aclose()
        return await take_down(self.estate, drain, report)

    async def _reopen_gateway(self) -> None:
        if gateway := self.estate.gateway:
            await gateway.close()
            try:
                await gateway.open()
            except GatewayUnavailableError as error:
                _log.warning("%s Restart the server to start the gateway.", error)

    async def _change(self, function: Callable[[Records], T]) -> T:
        ports, new_id = self._options.ports, self._new_id
        return await self._dispatcher.change(
            lambda backend: function(Records(backend.database, backend.workloads, ports, new_id))
        )
