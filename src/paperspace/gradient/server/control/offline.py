"""Control of a database without a running server."""

from __future__ import annotations

import sqlite3
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from paperspace.gradient._shared import server_files
from paperspace.gradient.server.clock import utc_now
from paperspace.gradient.server.control.interface import ControlError
from paperspace.gradient.server.control.report import (
    describe_deployments,
    describe_estate,
    describe_missing_engine,
    unknown_containers,
)
from paperspace.gradient.server.controller.controller import DEFAULT_OPTIONS
from paperspace.gradient.server.controller.down import Drain, Estate, remove_unknown, take_down
from paperspace.gradient.server.controller.engine import EngineUnavailableError
from paperspace.gradient.server.controller.gateway import GatewayUnavailableError
from paperspace.gradient.server.controller.host_lock import locked_containers
from paperspace.gradient.server.controller.log_store import LogStore
from paperspace.gradient.server.controller.logs import Collector, NoLogs
from paperspace.gradient.server.controller.records import Records
from paperspace.gradient.server.defaults import gateway_folder
from paperspace.gradient.server.engines.simulation import Simulation
from paperspace.gradient.server.engines.workloads import Workloads
from paperspace.gradient.server.gateway.gateway import EnvoyGateway
from paperspace.gradient.server.gateway.inspection import inspect
from paperspace.gradient.server.gateway.options import Options
from paperspace.gradient.server.storage.database import Database
from paperspace.gradient.server.storage.files import UnusableDatabaseError, check_file, unusable
from paperspace.gradient.server.storage.identity import server_id
from paperspace.gradient.server.storage.side_file import location_beside
from paperspace.gradient.server.storage.summary import summarize

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from pathlib import Path

    from paperspace.gradient.server.controller.engine import Engine
    from paperspace.gradient.server.controller.gateway import Gateway
    from paperspace.gradient.server.controller.logs import Logs
    from paperspace.gradient.server.controller.work import Change

T = TypeVar("T")


class OfflineControl:
    """Controls a database while no server runs. Each method locks the database, except `status`, which changes nothing.

    Args:
        database: The database file.
        engine: The engine of its containers. None: deployments are simulated. Or why the engine cannot be used.
    """

    def __init__(self, database: Path, engine: Engine | EngineUnavailableError | None) -> None:
        self._database = database
        self._engine = engine

    async def status(self) -> dict[str, Any]:
        """Return the state of everything."""
        report: dict[str, Any] = {"server": None, "engine": None, "gateway": None, "deployments": None}
        report |= {"unknownContainers": None}
        try:
            if not self._database.is_file():
                raise unusable(self._database, "there is no such file")
            check_file(self._database)
            with closing(Database(self._database, utc_now, unchanged=True)) as database:
                with database.reading():
                    report["deployments"] = describe_deployments(summarize(database))
                report |= await self._describe_outside(database)
        except (UnusableDatabaseError, sqlite3.Error) as error:
            report["problem"] = str(error)
        return report

    async def _describe_outside(self, database: Database) -> dict[str, Any]:
        if self._engine is None:
            return await describe_estate(None, None)
        state = await inspect(gateway_folder(self._database))
        if isinstance(self._engine, EngineUnavailableError):
            return describe_missing_engine("docker", str(self._engine), state)
        estate = _estate(database, self._engine, None, NoLogs(), read_only=True)
        with database.reading():
            id_ = server_id(database)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._engine.close)
            try:
                await self._engine.connect(id_)
            except EngineUnavailableError as error:
                return describe_missing_engine(self._engine.name, str(error), state)
            return await describe_estate(estate, state)

    async def unknown(self) -> list[dict[str, Any]]:
        """Return the containers that the database does not know."""
        async with self._opened() as estate:
            return await unknown_containers(estate)

    async def remove(self, container_ids: Iterable[str]) -> list[str]:
        """Remove those of the containers that the database does not know. Return their ids."""
        async with self._opened() as estate:
            return await remove_unknown(estate, container_ids)

    async def take_down(self, *, now: bool, report: Callable[[str], None]) -> dict[str, Any]:
        """Stop all deployments and the gateway."""
        self._check()
        if self._engine is None:
            with self._locked_database():
                return {"deployments": 0, "unknown": 0}
        gateway = EnvoyGateway(Options(gateway_folder(self._database)))
        drain = Drain(0 if now else DEFAULT_OPTIONS.drain_timeout.total_seconds())
        async with self._opened(gateway) as estate:
            down = await take_down(estate, drain, report)
        return down._asdict()

    def _check(self) -> None:
        """Check that the database is ours, and not of a newer version.

        Raises:
            ControlError: it is not.
        """
        try:
            check_file(self._database)
        except UnusableDatabaseError as error:
            raise ControlError(f"{error}.") from error
        except sqlite3.Error as error:
            raise ControlError(f"{unusable(self._database, error)}.") from error

    @asynccontextmanager
    async def _opened(self, gateway: Gateway | None = None) -> AsyncIterator[Estate]:
        """Lock the database and its containers, and connect to the engine and the gateway.

        Raises:
            ControlError: another server uses them, or the engine does not respond.
        """
        self._check()
        if self._engine is None:
            raise ControlError("Deployments of this database are simulated; there are no containers.")
        if isinstance(self._engine, EngineUnavailableError):
            raise ControlError(str(self._engine))
        async with AsyncExitStack() as stack:
            database = stack.enter_context(self._locked_database())
            try:
                with database.reading():
                    id_ = server_id(database)
                stack.enter_context(locked_containers(id_))
                stack.push_async_callback(self._engine.close)
                await self._engine.connect(id_)
                if gateway:
                    stack.push_async_callback(gateway.close)
                    await gateway.attach()
                store = await stack.enter_async_context(LogStore(location_beside(self._database, server_files.LOGS)))
                yield _estate(database, self._engine, gateway, Collector(self._engine, store))
            except (EngineUnavailableError, GatewayUnavailableError) as error:
                raise ControlError(str(error)) from error

    @contextmanager
    def _locked_database(self) -> Iterator[Database]:
        """Open the database, which no server can use meanwhile.

        Raises:
            ControlError: a server uses it, or it cannot be used.
        """
        try:
            with closing(Database(self._database, utc_now)) as database:
                yield database
        except UnusableDatabaseError as error:
            raise ControlError(
                f"{error}. The server that uses this database is still starting, or was not started with `gradient server`."
            ) from error


def _estate(
    database: Database, engine: Engine, gateway: Gateway | None, logs: Logs, *, read_only: bool = False
) -> Estate:
    """Return what belongs to a database that is open in this thread."""
    records = Records(database, Workloads(database, Simulation()), DEFAULT_OPTIONS.ports)
    transaction = database.reading if read_only else database.writing

    async def change(function: Callable[[Records], T]) -> T:
        with transaction():
            return function(records)

    typed: Change = change
    return Estate(engine, gateway, logs, typed, DEFAULT_OPTIONS.stop_grace)
