"""The removal of deleted deployments, with all that belongs to them: soon after the delete, in small steps.

A delete only marks the deployment, because its instances still end. When nothing of it is left outside of the database,
its rows are removed. Which ones these are is read in another lane: there may be many that are still needed. A step is
one short transaction in the lane of changes; other changes run between two steps. After each step, no row refers to a
removed one, so the removal can stop after any step. The next start continues it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from paperspace.gradient._shared.event_loops import monotonic
from paperspace.gradient.server.clock import iso
from paperspace.gradient.server.errors import ApplicationError, StoppedError
from paperspace.gradient.server.storage.store import RESPONSE_LIFETIME
from paperspace.gradient.server.tasks import cancel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence
    from typing import Protocol

    from paperspace.gradient.server.storage.budget import Budget
    from paperspace.gradient.server.storage.database import Database

    T = TypeVar("T")

    class Run(Protocol):
        """Runs a function in a lane."""

        def __call__(self, function: Callable[[Database, Budget], T]) -> Awaitable[T]:
            """Return what the function returns."""
            ...


_log = logging.getLogger(__name__)

DELAY = 2.0  # seconds from a change, or the start, to the removal
RECHECK_INTERVAL = 60.0  # seconds; instances of the simulation end, and saved responses expire, without a change
PAUSE = 0.02  # seconds between two steps, about as long as a step takes
# A container that Docker was asked to create may appear a moment after its instance was removed. The controller removes
# it only if the database still knows the instance.
GRACE = timedelta(seconds=60)
STEP = 200  # rows
_BATCH = 1000  # deployments that are looked up at once
# The pause after a pass, in multiples of the time that it took: each pass reads all that is deleted and still needed.
_REST = 20

# The tables whose rows belong to a row, in the order in which they are emptied: nothing refers to a removed row.
CHILDREN: dict[str, tuple[tuple[str, str], ...]] = {
    "deployments": (
        ("scales", "deployment_id"),
        ("deployment_events", "deployment_id"),
        ("images", "deployment_id"),
        ("repository_commits", "deployment_id"),
        ("instances", "deployment_id"),
        ("rollouts", "deployment_id"),
        ("deployment_specs", "deployment_id"),
    ),
    "instances": (("instance_states", "deployment_run_instance_id"), ("log_lines", "deployment_run_instance_id")),
    "rollouts": (("runs", "rollout_id"),),
}
_WEIGHTS = {"deployment_specs": 20}  # a large spec is on hundreds of pages

# No instance was removed later than `:before`, and no saved response needs the deployment.
_REMOVABLE = """
SELECT id FROM deployments
WHERE dt_deleted <= :before AND id NOT IN (SELECT value FROM json_each(:in_use))
    AND NOT EXISTS (
        SELECT 1 FROM instances
        WHERE deployment_id = deployments.id AND coalesce(instances.dt_deleted, 'never') > :before
    )
    AND NOT EXISTS (
        SELECT 1 FROM replies
        WHERE deployment IS NOT NULL AND json_extract(deployment, '$.id') = deployments.id
            AND replies.dt_created >= :expired
    )
"""
# The containers of another engine may still run. If the database is used with that engine again, it removes them.
_SIMULATED = "AND NOT EXISTS (SELECT 1 FROM instances WHERE deployment_id = deployments.id AND template IS NOT NULL)"


class Rule(NamedTuple):
    """Which deleted deployments may be removed."""

    simulated: bool
    in_use: Collection[str] = ()
    """The ids of the deployments that have something outside of the database."""


class Purge:
    """Remove deleted deployments, in a task. All methods belong to one event loop.

    Args:
        read: Runs what looks for deployments to remove.
        run: Runs each step, in the lane of changes.
        simulated: Whether no containers run.

    Attributes:
        in_use: Returns the ids of the deployments that have something outside of the database. None: that is unknown, so
            nothing is removed.
    """

    def __init__(self, read: Run, run: Run, *, simulated: bool) -> None:
        self.in_use: Callable[[], Awaitable[Collection[str] | None]] = _nothing if simulated else unknown
        self._read = read
        self._run = run
        self._simulated = simulated
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Start, soon, with what an earlier server has left."""
        self._task = asyncio.get_running_loop().create_task(self._run_forever())

    async def close(self) -> None:
        """Stop after the current step."""
        if self._task:
            await cancel([self._task])

    def changed(self) -> None:
        """Look for deleted deployments soon: something was committed."""
        self._changed.set()

    async def _run_forever(self) -> None:
        pause = DELAY
        while True:
            await asyncio.sleep(pause)
            self._changed.clear()
            started = monotonic()
            try:
                await self._remove_all()
            except (StoppedError, ApplicationError, sqlite3.Error) as error:  # on a full disk; it continues later
                _log.debug("Deleted deployments cannot be removed: %s", error)
            except Exception:  # noqa: BLE001  # whatever it is, the server must go on
                _log.exception("the removal of deleted deployments failed; it tries again")
            pause = max(DELAY, min(_REST * (monotonic() - started), RECHECK_INTERVAL))
            with suppress(TimeoutError):
                async with asyncio.timeout(RECHECK_INTERVAL):
                    await self._changed.wait()

    async def _remove_all(self) -> None:
        rule = Rule(self._simulated)
        if not await self._read(lambda database, budget: removable(database, rule, 1, budget)):
            return
        in_use = await self.in_use()
        if in_use is None:
            return
        unused = rule._replace(in_use=in_use)
        while ids := await self._read(lambda database, budget: removable(database, unused, _BATCH, budget)):
            while ids:
                ids = await self._run(partial(remove_some, rule=rule, ids=ids))
                await asyncio.sleep(PAUSE)


def removable(database: Database, rule: Rule, number: int = _BATCH, budget: Budget | None = None) -> list[str]:
    """Return the ids of deployments that may be removed, up to a number."""
    with database.reading(budget):
        return _removable(database, rule, "LIMIT :number", number=number)


def remove_some(database: Database, budget: Budget | None = None, *, rule: Rule, ids: Sequence[str]) -> list[str]:
    """Remove the rows of one step, in a transaction; return the ids of the deployments that are left for further steps.

    Args:
        database: The database.
        budget: The budget of the transaction.
        rule: Which deployments may be removed. It may have changed since they were looked up.
        ids: The ids of deployments that could be removed.
    """
    waiting = list(reversed(ids))
    # Columns that refer to specs have no index: to check them would read whole tables for each spec.
    with database.writing_without_checks(budget):
        left = STEP
        while left > 0 and waiting:
            id_ = waiting[-1]
            if _removable(database, rule, "AND id = :id", id=id_):
                database.execute("UPDATE deployments SET serving_spec_id = NULL WHERE id = ?", id_)
                left = remove_row(database, "deployments", id_, left)
            if left > 0:  # otherwise, the next step continues with it
                waiting.pop()
        if left < STEP:  # time continues from here if the clock is set back: the newest spec may be removed
            database.execute("UPDATE server SET last_removal = ?", iso(database.transaction_time))
    return waiting[::-1]


def _removable(database: Database, rule: Rule, condition: str, **values: object) -> list[str]:
    now = database.transaction_time
    rows = database.rows(
        f"{_REMOVABLE} {_SIMULATED if rule.simulated else ''} {condition}",
        before=iso(now if rule.simulated else now - GRACE),
        expired=iso(now - RESPONSE_LIFETIME),
        in_use=json.dumps(list(rule.in_use)),
        **values,
    )
    return [row["id"] for row in rows]


def remove_row(database: Database, table: str, id_: str, left: int) -> int:
    """Remove a row after those that belong to it, as far as rows are left for this step; return how many are then left."""
    for child, column in CHILDREN[table]:
        weight = _WEIGHTS.get(child, 1)
        if child in CHILDREN:
            query = f"SELECT id FROM {child} WHERE {column} = ? ORDER BY seq LIMIT ?"  # noqa: S608
            for row in database.rows(query, id_, left):
                left = remove_row(database, child, row["id"], left)
                if left <= 0:
                    return left
        else:
            some = f"SELECT rowid FROM {child} WHERE {column} = ? LIMIT ?"  # noqa: S608
            query = f"DELETE FROM {child} WHERE rowid IN ({some}) RETURNING 1"  # noqa: S608
            left -= weight * len(database.rows(query, id_, -(-left // weight)))
        if left <= 0:
            return left
    database.execute(f"DELETE FROM {table} WHERE id = ?", id_)  # noqa: S608
    return left - 1


async def _nothing() -> Collection[str]:
    return ()


async def unknown() -> None:
    """Return that it is not known what exists outside of the database."""
