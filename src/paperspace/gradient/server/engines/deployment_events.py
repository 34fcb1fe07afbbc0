"""The events of deployments: what happened, when, why, and how often.

An event is identified by its deployment, reason, spec and instance. If it happens again, a row with the next number and
a higher count replaces its row, so that the latest events are the newest rows. What the simulation stores in advance
replaces nothing before its time has come: `events_now` shows the newest row that is not in the future.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient.server.clock import iso
from paperspace.gradient.server.engines.reasons import ONCE
from paperspace.gradient.server.engines.runtime import InstanceAdded, LineLogged, Scaled, SpecNoted
from paperspace.gradient.server.ids import derived_id
from paperspace.gradient.server.storage.database import ChildTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paperspace.gradient.server.engines.reasons import Reason
    from paperspace.gradient.server.engines.runtime import Event
    from paperspace.gradient.server.storage.database import Database

EVENTS = ChildTable("events_now", "deployment_id", newest_first=True)
MAX_EVENTS = 200  # of a deployment; the oldest ones are deleted


class Subject(NamedTuple):
    """What an event is about."""

    deployment_id: str
    spec_id: str
    instance_name: str | None
    """None: it is about the spec."""

    def event_id(self, reason: Reason) -> str:
        """Return the id of its event with this reason."""
        return derived_id(self.spec_id, f"{reason} {self.instance_name}")


class DeploymentEvents:
    """Store the events of deployments. Callers run the methods in a transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def record(self, events: Iterable[Event]) -> None:
        """Store those of the events that have a reason, sorted by time. Those of deleted deployments are left out."""
        subjects: dict[str, Subject | None] = {}
        grown: set[str] = set()
        for event in events:
            if isinstance(event, LineLogged | InstanceAdded) or event.reason is None:
                continue
            id_ = event.spec_id if isinstance(event, SpecNoted | Scaled) else event.instance_id
            if id_ not in subjects:
                subjects[id_] = self._spec(id_) if isinstance(event, SpecNoted | Scaled) else self._instance(id_)
            subject = subjects[id_]
            if subject and self._add(subject, event.reason, event.message, iso(event.at)):
                grown.add(subject.deployment_id)
        for deployment_id in grown:
            self._delete_oldest(deployment_id)

    def discard_future(self, deployment_id: str) -> None:
        """Delete the events of a deployment that have not happened yet."""
        self._db.execute(
            "DELETE FROM deployment_events WHERE deployment_id = ? AND dt_last > ?", deployment_id, self._now
        )

    def forget(self, deployment_id: str) -> None:
        """Delete all events of a deployment: it is deleted."""
        self._db.execute("DELETE FROM deployment_events WHERE deployment_id = ?", deployment_id)

    def _add(self, subject: Subject, reason: Reason, message: str, time: str) -> bool:
        """Add a row; return whether more events than before have happened."""
        id_ = subject.event_id(reason)
        earlier = self._db.rows(
            "SELECT count, dt_created FROM deployment_events WHERE id = ? ORDER BY seq DESC LIMIT 1", id_
        )
        if earlier and reason in ONCE:
            return False
        if earlier and time <= self._now:
            self._db.execute("DELETE FROM deployment_events WHERE id = ? AND dt_last <= ?", id_, self._now)
        row = {
            "id": id_,
            "deployment_id": subject.deployment_id,
            "deployment_spec_id": subject.spec_id,
            "instance_name": subject.instance_name,
            "severity": reason.severity,
            "reason": reason,
            "message": message,
            "count": earlier[0]["count"] + 1 if earlier else 1,
            "dt_created": earlier[0]["dtCreated"] if earlier else time,
            "dt_last": time,
        }
        self._db.insert("deployment_events", [row])
        return not earlier and time <= self._now

    def _delete_oldest(self, deployment_id: str) -> None:
        """Keep the newest of those that have happened."""
        self._db.execute(
            "DELETE FROM deployment_events WHERE deployment_id = :id AND seq <= (SELECT seq FROM deployment_events"
            " WHERE deployment_id = :id AND dt_last <= :now ORDER BY seq DESC LIMIT 1 OFFSET :kept)",
            id=deployment_id,
            now=self._now,
            kept=MAX_EVENTS,
        )

    def _spec(self, spec_id: str) -> Subject | None:
        return self._subject(
            "SELECT deployment_id, deployment_specs.id AS spec_id, NULL AS name FROM deployment_specs"
            " JOIN deployments ON deployments.id = deployment_id WHERE deployment_specs.id = ? AND dt_deleted IS NULL",
            spec_id,
        )

    def _instance(self, instance_id: str) -> Subject | None:
        return self._subject(
            "SELECT deployment_id, spec_id, instance_id AS name FROM instances"
            " JOIN deployments ON deployments.id = deployment_id"
            " WHERE instances.id = ? AND deployments.dt_deleted IS NULL",
            instance_id,
        )

    def _subject(self, query: str, id_: str) -> Subject | None:
        return next((Subject(*row.values()) for row in self._db.rows(query, id_)), None)

    @property
    def _now(self) -> str:
        return iso(self._db.transaction_time)
