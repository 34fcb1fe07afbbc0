"""The decisions of autoscaling: how many replicas there should be of each spec that is scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paperspace.gradient.server.clock import iso

if TYPE_CHECKING:
    from datetime import datetime

    from paperspace.gradient.server.engines.runtime import Scaled
    from paperspace.gradient.server.storage.database import Database

_STARTED = "As many replicas as before, within the limits of the spec."


class Scales:
    """Store the decisions, some of which may be in the future. Callers run the methods in a transaction.

    There is a number for the newest spec of a deployment, and for the serving one until the newest one serves.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    def of_spec(self, spec_id: str) -> int | None:
        """Return how many replicas of a spec there should be. None: nothing was decided about it."""
        rows = self._db.rows("SELECT replicas FROM scales_now WHERE spec_id = ?", spec_id)
        return rows[0]["replicas"] if rows else None

    def of_deployment(self, deployment_id: str) -> int | None:
        """Return how many replicas of a deployment there should be. None: nothing was decided about it."""
        [row] = self._db.rows("SELECT max(replicas) AS most FROM scales_now WHERE deployment_id = ?", deployment_id)
        most: int | None = row["most"]
        return most

    def deployments(self) -> list[str]:
        """Return the ids of the deployments about which something was decided."""
        return [row["deploymentId"] for row in self._db.rows("SELECT DISTINCT deployment_id FROM scales")]

    def start(self, spec_id: str, replicas: int | None) -> None:
        """Start with a number of replicas of a spec that was applied; without a number, it is not scaled.

        Decisions about other specs of its deployment are deleted, except the one that serves.
        """
        self._db.execute(
            "DELETE FROM scales WHERE deployment_id = (SELECT deployment_id FROM deployment_specs WHERE id = ?)"
            " AND spec_id IS NOT (SELECT serving_spec_id FROM deployments WHERE deployments.id = scales.deployment_id)",
            spec_id,
        )
        if replicas is not None:
            self._store(spec_id, self._db.transaction_time, replicas, _STARTED)

    def add(self, scaled: Scaled) -> None:
        """Store a decision."""
        self._store(scaled.spec_id, scaled.at, scaled.replicas, scaled.message)

    def _store(self, spec_id: str, at: datetime, replicas: int, reason: str) -> None:
        if at <= self._db.transaction_time:
            self._db.execute("DELETE FROM scales WHERE spec_id = ?", spec_id)
        self._db.execute(
            "INSERT INTO scales (deployment_id, spec_id, replicas, reason, dt_created)"
            " SELECT deployment_id, id, ?, ?, ? FROM deployment_specs WHERE id = ?",
            replicas,
            reason,
            iso(at),
            spec_id,
        )

    def serve(self, spec_id: str) -> None:
        """Delete the decisions about the other specs of a deployment: this one serves."""
        self._db.execute(
            "DELETE FROM scales WHERE spec_id <> :spec_id"
            " AND deployment_id = (SELECT deployment_id FROM deployment_specs WHERE id = :spec_id)",
            spec_id=spec_id,
        )

    def discard_future(self, deployment_id: str) -> None:
        """Delete the decisions about a deployment that are in the future."""
        self._db.execute("DELETE FROM scales WHERE deployment_id = ? AND dt_created > now()", deployment_id)

    def forget(self, deployment_id: str) -> None:
        """Delete all decisions about a deployment: it is deleted."""
        self._db.execute("DELETE FROM scales WHERE deployment_id = ?", deployment_id)
