"""The states of an instance: as many as are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from paperspace.gradient.server.engines.runtime import StateChanged
from paperspace.gradient.server.engines.simulation import Simulation
from paperspace.gradient.server.engines.workloads import MAX_STATES, Workloads
from paperspace.gradient.server.storage.database import Database
from paperspace.gradient.server.storage.store import Store

NOW = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)


def test_only_the_newest_states_are_kept() -> None:
    """The oldest states of an instance are deleted; since when it has run, and its newest state, stay true."""
    database = Database(":memory:", lambda: NOW + timedelta(days=1))
    records = Workloads(database, Simulation())
    with database.writing():
        data = {"image": "i", "resources": {"replicas": 2}}
        row = Store(database, actor="a", new_id=uuid4).create_deployment(
            name="d", project_id="p", cluster_id=None, data=data
        )
        records.apply_new_spec(row["id"])
        database.execute("DELETE FROM instance_states")
        flapping, other = [row["id"] for row in database.rows("SELECT id FROM instances ORDER BY seq")]
        records.record([StateChanged(other, NOW, "Running", "healthy", "Ready.")])
        records.record([StateChanged(flapping, NOW, "Pending", "pending", "Waiting.")])
        first = NOW + timedelta(seconds=1)
        for number in range(MAX_STATES + 50):
            at = first + timedelta(seconds=number)
            records.record([StateChanged(flapping, at, "Running", "pending", f"Change {number}.")])
        query = "SELECT message FROM instance_states WHERE deployment_run_instance_id = ? ORDER BY seq"
        messages = [row["message"] for row in database.rows(query, flapping)]
        assert messages == ["Change 0.", *(f"Change {number}." for number in range(50, MAX_STATES + 50))]
        assert [row["message"] for row in database.rows(query, other)] == ["Ready."]
        (now,) = database.rows("SELECT dt_started, state_message FROM instances_now WHERE id = ?", flapping)
        assert now == {"dtStarted": "2024-05-17T09:30:01.000Z", "stateMessage": messages[-1]}
    database.close()
