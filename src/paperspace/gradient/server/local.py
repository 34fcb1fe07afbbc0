"""The server as one object: started and stopped in a thread of its own, or on a running loop."""

from __future__ import annotations

import asyncio
import re
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self, cast
from uuid import UUID, uuid4

from aiohttp import web

from paperspace.gradient.server.clock import utc_now
from paperspace.gradient.server.defaults import new_key, system_user
from paperspace.gradient.server.engines.simulation import Simulation
from paperspace.gradient.server.engines.workloads import Workloads
from paperspace.gradient.server.graphql.execution import Endpoint, Engine, Reply, Request
from paperspace.gradient.server.graphql.resolvers import Context
from paperspace.gradient.server.http.listener import accept, connection_log, is_loopback, open_listener, url_of
from paperspace.gradient.server.http.middleware import Gate
from paperspace.gradient.server.http.routes import Routes
from paperspace.gradient.server.storage.database import Database
from paperspace.gradient.server.storage.migrations import IN_MEMORY
from paperspace.gradient.server.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    from paperspace.gradient.server.engines.runtime import Runtime
    from paperspace.gradient.server.fault_injection import InjectedFault

# Seconds. A connection that sends no request, or only half of its head, is closed; one whose body was refused may go
# on sending for a moment, so that it gets to read the reply; and after the gate is closed nothing is left to wait for.
TIMES: dict[str, Any] = {"keepalive_timeout": 10.0, "lingering_time": 1.0, "shutdown_timeout": 1.0}


class LocalServer:
    """A server with the API of the hosted service.

    Used in a `with` block, or between `start` and `stop`, it runs in a thread of its own; in an `async with` block it
    runs on the running loop. When the block is left, the requests under way are answered and nothing is left running.

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        database: The file to keep everything in. `:memory:` keeps it until the server stops.
        api_key: The key that callers have to send; one is made if there is none.
        actor: The full name of whoever makes specs; by default that of the system's user.
        now: Where the time comes from.
        new_id: Where ids come from.
        new_request_id: Where the ids of requests come from.
        runtime: What runs the deployments; by default a simulation.

    Example:
        >>> from paperspace.gradient import Client
        >>> from paperspace.gradient.server import LocalServer
        >>> with LocalServer() as server, Client(server.api_key, server.url) as client:
        ...     client.deployments.list_deployments()
        []
    """

    api_key: str
    url: str
    """The address of the API, once the server is started."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        database: str | Path = IN_MEMORY,
        api_key: str | None = None,
        actor: str | None = None,
        now: Callable[[], datetime] = utc_now,
        new_id: Callable[[], UUID] = uuid4,
        new_request_id: Callable[[], UUID] = uuid4,
        runtime: Runtime | None = None,
    ) -> None:
        if api_key is not None and not re.fullmatch(r"[!-~]+", api_key):
            raise ValueError("an API key is made of visible ASCII characters, at least one")
        self.api_key = new_key() if api_key is None else api_key
        self._host = host
        self._port = port
        self._database = database
        self._actor = system_user() if actor is None else actor
        self._now = now
        self._new_id = new_id
        self._new_request_id = new_request_id
        self._runtime = Simulation() if runtime is None else runtime
        self._stop: Callable[[], None] | None = None

    def start(self) -> None:
        """Starts the server and returns when it is ready.

        Raises:
            RuntimeError: It is running already.
            OSError: The address cannot be listened on.
            UnusableDatabaseError: The database cannot be used.

        Example:
            >>> from paperspace.gradient.server import LocalServer
            >>> server = LocalServer()
            >>> server.start()
            >>> server.url  # doctest: +ELLIPSIS
            'http://127.0.0.1:.../graphql'
            >>> server.stop()
        """
        if self._stop is not None:
            raise RuntimeError("the server is running already")
        started: Future[Callable[[], object]] = Future()
        thread = threading.Thread(target=lambda: asyncio.run(self._run(started)), name="gradient server", daemon=True)
        thread.start()
        end = started.result()

        def stop() -> None:
            end()
            thread.join()

        self._stop = stop

    def stop(self) -> None:
        """Answers the requests under way, stops the server and returns when nothing of it is left.

        Example:
            >>> from paperspace.gradient.server import LocalServer
            >>> server = LocalServer()
            >>> server.start()
            >>> server.stop()
        """
        if self._stop is not None:
            self._stop()
            self._stop = None

    def inject_fault(self, *what: InjectedFault) -> None:
        """Makes things happen to the next requests to the API, one each, in this order.

        Example:
            >>> from paperspace.gradient import Client
            >>> from paperspace.gradient.server import LocalServer, drop
            >>> with LocalServer() as server, Client(server.api_key, server.url) as client:
            ...     server.inject_fault(drop(executed=False))
            ...     client.deployments.list_deployments()  # sent again, as its connection broke
            []
        """
        self._gate.injected_faults.extend(what)

    def reconsider(self, name: str) -> None:
        """Has the runtime look again at the deployments of this name, as something else is wanted of them.

        Example:
            >>> from paperspace.gradient.server import LocalServer
            >>> with LocalServer() as server:
            ...     server.reconsider("mnist")
        """
        self._worker.submit(self._engine.reconsider, name).result()

    async def _run(self, started: Future[Callable[[], object]]) -> None:
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with self:
                started.set_result(lambda: loop.call_soon_threadsafe(end.set))
                await end.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)  # it is raised in the thread that waits

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            listener = stack.enter_context(open_listener(self._host, self._port))
            base_url = url_of(self._host, listener)

            # The one thread that the database belongs to; requests are executed there, one after the other.
            worker = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="gradient store"))
            engine = await loop.run_in_executor(worker, self._make_engine, base_url)
            stack.push_async_callback(loop.run_in_executor, worker, engine.close)
            self._worker, self._engine = worker, engine

            async def answer(request: Request) -> Reply:
                return await loop.run_in_executor(worker, engine.answer, request)

            async def endpoint(deployment_id: str) -> Endpoint:
                return await loop.run_in_executor(worker, engine.endpoint, deployment_id)

            self.url = f"{base_url}/graphql"
            self._gate = Gate(self._new_request_id, local=is_loopback(self._host))
            routes = Routes(answer, endpoint, self._gate, url=self.url, api_key=self.api_key, now=self._now)
            runner = web.AppRunner(routes.application(), access_log=None, logger=connection_log, **TIMES)
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            accepting = await accept(listener, cast("web.Server", runner.server))
            stack.callback(accepting.close)
            stack.push_async_callback(self._gate.close)
            self._exit = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    def _make_engine(self, base_url: str) -> Engine:
        database = Database(self._database, self._now)
        workloads = Workloads(database, self._runtime)
        store = Store(database, workloads, actor=self._actor, new_id=self._new_id)
        with database.writing():
            workloads.put_all_to_work()
        return Engine(Context(database, store, workloads, base_url))
