"""A backend: one connection to the database, and everything that uses it."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from paperspace.gradient.server.engines.endpoints import Endpoints
from paperspace.gradient.server.engines.workloads import Workloads
from paperspace.gradient.server.graphql.execution import Executor
from paperspace.gradient.server.graphql.resolvers import Context
from paperspace.gradient.server.storage.database import Database
from paperspace.gradient.server.storage.files import unusable
from paperspace.gradient.server.storage.future import end_future, move_future
from paperspace.gradient.server.storage.identity import server_id, use_engine
from paperspace.gradient.server.storage.log_pages import LogPages
from paperspace.gradient.server.storage.metric_file import MetricReader
from paperspace.gradient.server.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path
    from uuid import UUID

    from paperspace.gradient.server.clock import SteadyClock
    from paperspace.gradient.server.engines.runtime import Runtime
    from paperspace.gradient.server.graphql.documents import Documents
    from paperspace.gradient.server.protection import Passwords
    from paperspace.gradient.server.storage.budget import Budget
    from paperspace.gradient.server.storage.side_file import Location

T = TypeVar("T")

# After a restart, time continues from the last change, unless this is further in the future: then the clock was wrong.
_MAX_SET_BACK = timedelta(days=1)


class Settings(NamedTuple):
    """What the backends of a server have in common."""

    database: str | Path
    logs: Location
    """Where the logs of containers are."""
    metrics: Location
    """Where the metrics of deployments are."""
    clock: SteadyClock
    runtime: Runtime
    engine: str | None
    """The name of the engine. None: the engine of the database, or else the simulation."""
    actor: str
    new_id: Callable[[], UUID]
    endpoint_url: Callable[[str], str]
    """Returns the URL of the endpoint of a deployment."""
    documents: Documents
    passwords: Passwords


class Backend(NamedTuple):
    """One connection to the database, and everything that uses it."""

    database: Database
    workloads: Workloads
    executor: Executor
    endpoints: Endpoints
    logs: LogPages
    metrics: MetricReader

    def change(self, function: Callable[[Backend], T], budget: Budget) -> T:
        """Run a function in a transaction that can change the database."""
        with self.database.writing(budget):
            return function(self)

    def read(self, function: Callable[[Backend], T], budget: Budget) -> T:
        """Run a function in a transaction that sees one state of the database."""
        with self.database.reading(budget):
            return function(self)

    def reconcile(self, name: str, budget: Budget) -> None:
        """Reconcile all deployments with this name."""
        with self.database.writing(budget):
            self.workloads.reconcile_by_name(name)

    def close(self) -> None:
        """Close the connections."""
        self.logs.close()
        self.metrics.close()
        self.database.close()


def open_backend(
    settings: Settings, *, read_only: bool = False, stopped: Callable[[], bool] = lambda: False
) -> Backend:
    """Open a connection to the database.

    The first one is not read-only: it checks, creates or migrates the database, and reconciles the deployments.
    `stopped` says whether to stop that.

    Raises:
        UnusableDatabaseError: the database cannot be used.
        StoppedError: the server stopped first.
    """
    with ExitStack() as stack:
        database = Database(settings.database, settings.clock, read_only=read_only, stopped=stopped)
        stack.callback(database.close)
        logs = LogPages(settings.logs)
        workloads = Workloads(database, settings.runtime, settings.passwords)
        store = Store(database, actor=settings.actor, new_id=settings.new_id)
        if not read_only:
            try:
                wrong = _continue(settings.clock, store, database)
                with database.writing():
                    if kept := use_engine(database, settings.engine):
                        reason = f"its deployments run on {kept}; pass this engine as engine=, or use `gradient server`"
                        raise unusable(settings.database, reason)
                    if not settings.runtime.simulated:
                        end_future(database, wrong=wrong is not None)
                    elif wrong:
                        move_future(database, wrong)
                    workloads.apply_new_specs()
            except sqlite3.Error as error:
                raise unusable(settings.database, error) from error
        metrics = MetricReader(settings.metrics)
        context = Context(database, store, workloads, logs, metrics, settings.endpoint_url, server_id(database))
        executor = Executor(context, settings.documents)
        stack.pop_all()
    return Backend(database, workloads, executor, Endpoints(database, store, workloads), logs, metrics)


def _continue(clock: SteadyClock, store: Store, database: Database) -> datetime | None:
    """Continue from the time of the last change if the clock was set back since.

    Return this time if it is too far in the future: the clock was wrong then.
    """
    with database.reading():
        last_change = store.last_change()
    if last_change and last_change - clock() >= _MAX_SET_BACK:
        return last_change
    if last_change:
        clock.continue_from(last_change)
    return None
