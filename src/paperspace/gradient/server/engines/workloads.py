"""Reconcile deployments with their specs, and store what happens: rollouts, runs, instances, their states and logs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.spec_rules import normalize_name
from paperspace.gradient.server.clock import iso
from paperspace.gradient.server.engines.autoscaling import autoscaling_of
from paperspace.gradient.server.engines.deployment_events import DeploymentEvents
from paperspace.gradient.server.engines.observed_state import PRESENT
from paperspace.gradient.server.engines.reasons import Reason
from paperspace.gradient.server.engines.runtime import (
    DesiredState,
    Instance,
    InstanceAdded,
    InstanceRemoved,
    LineLogged,
    Scaled,
    SpecNoted,
    StateChanged,
    UnsupportedSpecError,
)
from paperspace.gradient.server.engines.scales import Scales
from paperspace.gradient.server.engines.spec_changes import Revision, change_of
from paperspace.gradient.server.ids import derived_id
from paperspace.gradient.server.protection import Passwords
from paperspace.gradient.server.storage.purge import GRACE, STEP, remove_row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paperspace.gradient.server.engines.runtime import Event, Runtime
    from paperspace.gradient.server.storage.database import Database
    from paperspace.gradient.server.storage.rows import Row

MAX_STATES = 100  # of an instance; the oldest ones are deleted
_DELETED_STATES = 5  # with each new one, at most: an earlier version has kept them all

MAX_REMOVED = 100  # instances of a run; those that were removed first are deleted
_DELETED_INSTANCES = 2  # with each removal, at most


def run_id(spec_id: str) -> str:
    """Return the id of the run of a spec."""
    return derived_id(spec_id, "run")


def instance_name(spec_id: str, index: int) -> str:
    """Return the name of an instance that was added for a spec."""
    return f"instance-{spec_id.rpartition('-')[2]}-{index}"


class Workloads:
    """Run the newest specs with a runtime, and record its events. Callers run the methods in a transaction.

    Attributes:
        scales: The decisions of autoscaling.
    """

    def __init__(self, database: Database, runtime: Runtime, passwords: Passwords | None = None) -> None:
        self.scales = Scales(database)
        self._db = database
        self.passwords = passwords or Passwords()
        self._runtime = runtime
        self._deployment_events = DeploymentEvents(database)

    @property
    def simulated(self) -> bool:
        """Whether no containers run."""
        return self._runtime.simulated

    def apply_new_spec(self, deployment_id: str) -> None:
        """Reconcile a deployment if its newest spec was not applied yet."""
        spec = self._newest_spec(deployment_id)
        if spec["externalApplied"] is None and spec["error"] is None:
            self._reconcile(spec)

    def apply_new_specs(self) -> None:
        """Reconcile all deployments whose newest spec was not applied yet, as in a database of version 1, which only stored specs."""
        for row in self._db.rows(
            "SELECT deployments.id FROM deployments JOIN deployment_specs ON deployment_id = deployments.id"
            " WHERE dt_deleted IS NULL AND dt_invalid IS NULL AND external_applied IS NULL AND error IS NULL"
        ):
            self.apply_new_spec(row["id"])

    def reconcile_by_name(self, name: str) -> None:
        """Reconcile all deployments with this name."""
        query = "SELECT id FROM deployments WHERE dt_deleted IS NULL AND name = ? ORDER BY seq DESC"
        for row in self._db.rows(query, normalize_name(name)):
            self._reconcile(self._newest_spec(row["id"]))

    def remove(self, deployment_id: str) -> None:
        """Remove all instances of a deployment, which is deleted, and its events."""
        self._discard_future_events(deployment_id)
        self._deployment_events.forget(deployment_id)
        self.scales.forget(deployment_id)
        instances = self._instances(deployment_id, current_spec_id=None)  # no spec is current
        self.record(self._runtime.run(None, instances, self._db.transaction_time))

    def record(self, events: Iterable[Event]) -> None:
        """Store events, whether they are in the past or in the future."""
        in_order = sorted(events, key=lambda event: event.at)
        for event in in_order:
            match event:
                case StateChanged(instance_id, at, phase, state, message):
                    # Each id is derived from that of the state before: to count all of them would take ever longer.
                    before = self._last("instance_states", "id", instance_id)
                    id_ = derived_id(before or instance_id, "next state", at)
                    row: dict[str, Any] = {"id": id_, "phase": phase, "state": state, "message": message}
                    row |= {"timestamp": iso(at), "deployment_run_instance_id": instance_id}
                    self._db.insert("instance_states", [row])
                    self._delete_oldest_states(instance_id)
                case LineLogged(instance_id, at, message):
                    line = (self._last("log_lines", "line", instance_id) or 0) + 1
                    row = {"line": line, "message": message, "dt_created": iso(at)}
                    self._db.insert("log_lines", [row | {"deployment_run_instance_id": instance_id}])
                case InstanceRemoved(instance_id, at):
                    self._db.execute("UPDATE instances SET dt_deleted = ? WHERE id = ?", iso(at), instance_id)
                    self._delete_removed_instances(instance_id)
                case InstanceAdded():
                    self._add_instance(event)
                case Scaled():
                    self.scales.add(event)
        self._deployment_events.record(in_order)

    def _delete_oldest_states(self, instance_id: str) -> None:
        """Keep the newest states, and the one that says since when the instance has run."""
        of_instance = "FROM instance_states WHERE deployment_run_instance_id = :id"
        self._db.execute(
            f"DELETE FROM instance_states WHERE seq IN (SELECT seq {of_instance}"  # noqa: S608
            f" AND seq <= (SELECT seq {of_instance} ORDER BY seq DESC LIMIT 1 OFFSET :kept)"
            f" AND seq IS NOT (SELECT min(seq) {of_instance} AND phase = 'Running') ORDER BY seq LIMIT :deleted)",
            id=instance_id,
            kept=MAX_STATES,
            deleted=_DELETED_STATES,
        )

    def _delete_removed_instances(self, instance_id: str) -> None:
        """Keep the instances of the run of this one that were removed last, and the newest: the next name follows from it."""
        removed = "FROM instances WHERE run_id = :run_id AND coalesce(dt_deleted, 'never')"
        (instance,) = self._db.rows("SELECT run_id FROM instances WHERE id = ?", instance_id)
        rows = self._db.rows(
            f"SELECT id {removed} < (SELECT coalesce(dt_deleted, 'never') {removed} <= :removed_before"  # noqa: S608
            " ORDER BY coalesce(dt_deleted, 'never') DESC LIMIT 1 OFFSET :kept)"
            " AND seq < (SELECT max(seq) FROM instances WHERE run_id = :run_id)"
            " ORDER BY coalesce(dt_deleted, 'never') LIMIT :deleted",
            run_id=instance["runId"],
            removed_before=iso(self._db.transaction_time - GRACE),
            kept=MAX_REMOVED - 1,
            deleted=_DELETED_INSTANCES,
        )
        left = STEP
        for row in rows:
            if left > 0:
                left = remove_row(self._db, "instances", row["id"], left)

    def _reconcile(self, spec: Row) -> None:
        """Make the instances of a deployment match its newest spec, in place of what ran before."""
        now, deployment_id = self._db.transaction_time, spec["deploymentId"]
        scale = self.scales.of_deployment(deployment_id)
        desired = DesiredState(spec["name"], spec["id"], json.loads(spec["data"]), scale)
        try:
            replicas = self._runtime.replicas(desired)
            if replicas:  # a deployment can always be stopped, also after its secret was deleted
                self.passwords.check(desired.spec)
        except UnsupportedSpecError as error:
            self._db.execute("UPDATE deployment_specs SET error = ? WHERE id = ?", str(error), spec["id"])
            self.record([SpecNoted(spec["id"], now, Reason.SPEC_REJECTED, str(error))])
            return
        self._db.execute(
            "UPDATE deployment_specs SET external_applied = ? WHERE id = ? AND external_applied IS NULL",
            iso(now),
            spec["id"],
        )
        self._discard_future_events(deployment_id)
        if spec["externalApplied"] is None:
            reason, message = change_of(self._revision_before(spec), _revision(spec), spec["actor"])
            self.record([SpecNoted(spec["id"], now, reason, message)])
        self.scales.start(spec["id"], replicas if autoscaling_of(desired.spec) else None)
        self._add_rollout(spec, replicas)
        self._add_instances(spec["id"], self._runtime.initial_instances(replicas))
        instances = self._instances(deployment_id, current_spec_id=spec["id"])
        self.record(self._runtime.run(desired, instances, now))

    def _newest_spec(self, deployment_id: str) -> Row:
        (spec,) = self._db.rows(
            "SELECT deployment_specs.*, name FROM deployment_specs JOIN deployments ON deployments.id = deployment_id"
            " WHERE deployment_id = ? ORDER BY deployment_specs.seq DESC LIMIT 1",
            deployment_id,
        )
        return spec  # the keys of a row have the names of the schema, such as `deploymentId`

    def _revision_before(self, spec: Row) -> Revision | None:
        rows = self._db.rows(
            "SELECT data, cluster_id FROM deployment_specs WHERE deployment_id = ? AND seq < ? ORDER BY seq DESC LIMIT 1",
            spec["deploymentId"],
            spec["seq"],
        )
        return _revision(rows[0]) if rows else None

    def _instances(self, deployment_id: str, *, current_spec_id: str | None) -> list[Instance]:
        rows = self._db.rows(
            f"SELECT id, spec_id, state FROM instances_now WHERE {PRESENT} ORDER BY seq",  # noqa: S608
            deployment_id,
        )
        return [Instance(row["id"], row["specId"] == current_spec_id, row["state"]) for row in rows]

    def _add_rollout(self, spec: Row, replicas: int) -> None:
        """Add the rollout of a spec and its run. Their ids are derived from the id of the spec."""
        rollout_id = derived_id(spec["id"], "rollout")
        if self._db.rows("SELECT id FROM rollouts WHERE id = ?", rollout_id):
            return
        now = iso(self._db.transaction_time)
        common = {"deployment_id": spec["deploymentId"], "spec_id": spec["id"], "dt_created": now}
        self._db.insert("rollouts", [{"id": rollout_id, **common}])
        if replicas:
            self._db.insert("runs", [{"id": run_id(spec["id"]), "rollout_id": rollout_id, **common}])

    def _add_instances(self, spec_id: str, number: int) -> None:
        """Add the missing instances of a spec, up to the number. Their ids are derived from the id of the spec."""
        (row,) = self._db.rows(
            "SELECT count(*) AS present FROM instances_now WHERE run_id = ? AND removal > now()", run_id(spec_id)
        )
        first = self._next_index(spec_id)
        for index in range(first, first + number - row["present"]):
            id_ = derived_id(spec_id, f"instance {index}")
            self._add_instance(InstanceAdded(id_, self._db.transaction_time, spec_id))

    def _add_instance(self, added: InstanceAdded) -> None:
        """Add an instance, now or in the future. Its name is derived from the id of the spec."""
        self._db.execute(
            "INSERT INTO instances (id, run_id, deployment_id, spec_id, instance_id, dt_created)"
            " SELECT ?, ?, deployment_id, id, ?, ? FROM deployment_specs WHERE id = ?",
            added.instance_id,
            run_id(added.spec_id),
            instance_name(added.spec_id, self._next_index(added.spec_id)),
            iso(added.at),
            added.spec_id,
        )

    def _next_index(self, spec_id: str) -> int:
        """Return the number in the name of the next instance of a spec. Those of engines have other names."""
        rows = self._db.rows(
            "SELECT instance_id FROM instances WHERE run_id = ? AND instance_id GLOB ? ORDER BY seq DESC LIMIT 1",
            run_id(spec_id),
            f"{instance_name(spec_id, 0)[:-1]}*",
        )
        return int(rows[0]["instanceId"].rpartition("-")[2]) + 1 if rows else 0

    def _discard_future_events(self, deployment_id: str) -> None:
        """Delete the events of a deployment that have not happened yet: its desired state has changed.

        A removed instance has none: its removal is its last event.
        """
        self._deployment_events.discard_future(deployment_id)
        self.scales.discard_future(deployment_id)
        now = iso(self._db.transaction_time)
        future = "deployment_id = ? AND coalesce(dt_deleted, 'never') > now() AND dt_created > now()"
        for instance in self._db.rows(f"SELECT id FROM instances WHERE {future}", deployment_id):  # noqa: S608
            for table in ("instance_states", "log_lines"):
                self._db.execute(f"DELETE FROM {table} WHERE deployment_run_instance_id = ?", instance["id"])  # noqa: S608
            self._db.execute("DELETE FROM instances WHERE id = ?", instance["id"])
        present = self._db.rows(f"SELECT id FROM instances_now WHERE {PRESENT}", deployment_id)  # noqa: S608
        for instance in present:
            for table, time_column in (("instance_states", "timestamp"), ("log_lines", "dt_created")):
                of_instance = f"FROM {table} WHERE deployment_run_instance_id = ?"
                last = f"SELECT max(seq) {of_instance} AND {time_column} <= ?"
                self._db.execute(
                    f"DELETE {of_instance} AND seq > coalesce(({last}), 0)", instance["id"], instance["id"], now
                )
            self._db.execute("UPDATE instances SET dt_deleted = NULL WHERE id = ?", instance["id"])

    def _last(self, table: str, column: str, instance_id: str) -> Any:
        """Return a column of the last state or log line of an instance; None if there is none."""
        rows = self._db.rows(
            f"SELECT {column} FROM {table} WHERE deployment_run_instance_id = ? ORDER BY seq DESC LIMIT 1",  # noqa: S608
            instance_id,
        )
        return next(iter(rows[0].values())) if rows else None


def _revision(spec: Row) -> Revision:
    return Revision(json.loads(spec["data"]), spec["clusterId"])
