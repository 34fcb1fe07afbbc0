"""The states of an instance, and the removed instances of a run: as many as are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from paperspace.gradient.server.engines.runtime import InstanceAdded, InstanceRemoved, StateChanged
from paperspace.gradient.server.engines.simulation import Simulation
from paperspace.gradient.server.engines.workloads import MAX_REMOVED, MAX_STATES, Workloads
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


class Scaled:
    """A deployment whose instances come and go, at moments that are minutes apart."""

    def __init__(self) -> None:
        self.moment = NOW
        self.database = Database(":memory:", lambda: self.moment)
        self.records = Workloads(self.database, Simulation())
        with self.database.writing():
            row = Store(self.database, actor="a", new_id=uuid4).create_deployment(
                name="d", project_id="p", cluster_id=None, data={"image": "i", "resources": {"replicas": 2}}
            )
            self.records.apply_new_spec(row["id"])
            (spec,) = self.database.rows("SELECT id FROM deployment_specs")
        self.spec_id = spec["id"]

    def add(self) -> str:
        """Add an instance, and return its id."""
        id_ = str(uuid4())
        with self.database.writing():
            added = InstanceAdded(id_, self.moment, self.spec_id)
            self.records.record([added, StateChanged(id_, self.moment, "Running", "healthy", "")])
        return id_

    def remove(self, id_: str) -> None:
        """Remove an instance."""
        self.moment += timedelta(minutes=2)
        with self.database.writing():
            self.records.record([InstanceRemoved(id_, self.moment, "")])

    def ids(self, condition: str) -> list[str]:
        """Return the ids of instances, oldest first."""
        with self.database.reading():
            rows = self.database.rows(f"SELECT id FROM instances_now WHERE {condition} ORDER BY seq")
            return [row["id"] for row in rows]


def test_only_the_last_removed_instances_are_kept() -> None:
    """The instances that were removed first are deleted, with their states and lines."""
    scaled = Scaled()
    ids = []
    for _ in range(MAX_REMOVED + 50):
        ids.append(scaled.add())
        scaled.remove(ids[-1])
    kept = scaled.ids("dt_deleted IS NOT NULL")
    assert kept == ids[-len(kept) :]
    assert MAX_REMOVED <= len(kept) <= MAX_REMOVED + 1
    assert len(scaled.ids("dt_deleted IS NULL")) == 2
    with scaled.database.reading():
        assert len(scaled.database.rows("SELECT seq FROM instance_states")) == len(kept) + 2 * 3
    scaled.database.close()


def test_no_name_of_a_deleted_instance_is_used_again() -> None:
    """Names go on after that of the newest instance, also if it was the first one to be removed."""
    scaled = Scaled()
    ids = [scaled.add() for _ in range(MAX_REMOVED + 20)]
    names = {id_: scaled.database.rows("SELECT instance_id FROM instances WHERE id = ?", id_) for id_ in ids}
    for id_ in reversed(ids):
        scaled.remove(id_)
    assert len(scaled.ids("dt_deleted IS NOT NULL")) < len(ids)
    new = scaled.add()
    assert scaled.database.rows("SELECT instance_id FROM instances WHERE id = ?", new) not in names.values()
    scaled.database.close()
