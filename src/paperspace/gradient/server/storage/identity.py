"""The identity of a database: its id, which marks its containers, and the engine that it is used with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paperspace.gradient.server.clock import iso

if TYPE_CHECKING:
    from paperspace.gradient.server.storage.database import Database

SIMULATED = "simulated"


def server_id(database: Database) -> str:
    """Return the id of the database. A copy of it has the same."""
    id_: str = database.rows("SELECT id FROM server")[0]["id"]
    return id_


def use_engine(database: Database, engine: str | None) -> str | None:
    """Remember the engine of a database, and start everything anew if it had another one.

    Args:
        database: The database, in a transaction.
        engine: The name of the engine. None: the simulation, unless the database has another engine.

    Returns:
        The other engine of the database, which was kept. None: the engine is the one asked for.
    """
    remembered: str | None = database.rows("SELECT engine FROM server")[0]["engine"]
    if engine is None and remembered not in (None, SIMULATED):
        return remembered
    engine = engine or SIMULATED
    if remembered not in (None, engine):
        _start_anew(database)
    database.execute("UPDATE server SET engine = ?", engine)
    return None


def _start_anew(database: Database) -> None:
    """Remove what ran on another engine, and let the newest specs be applied again."""
    now = iso(database.transaction_time)
    database.execute("DELETE FROM instance_states WHERE timestamp > ?", now)
    database.execute("DELETE FROM log_lines WHERE dt_created > ?", now)
    database.execute("DELETE FROM instances WHERE dt_created > ?", now)
    database.execute("DELETE FROM deployment_events WHERE dt_last > ?", now)
    database.execute("UPDATE instances SET dt_deleted = ? WHERE dt_deleted IS NULL OR dt_deleted > ?", now, now)
    database.execute("DELETE FROM scales")
    database.execute("UPDATE deployments SET serving_spec_id = NULL")
    database.execute(
        "UPDATE deployment_specs SET external_applied = NULL, error = NULL, template = NULL"
        " WHERE dt_invalid IS NULL AND deployment_id IN (SELECT id FROM deployments WHERE dt_deleted IS NULL)"
    )
