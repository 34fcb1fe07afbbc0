"""The database of the controller: reads what is wanted and what was observed, and stores the changes of the rule.

Callers run the methods in a transaction. Only the controller changes the observed state.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient._shared.spec_rules import DEFAULT_PROTOCOL
from paperspace.gradient.server.clock import iso
from paperspace.gradient.server.controller.checks import NO_CHECKS, checks_of
from paperspace.gradient.server.controller.engine import ContainerKey, Workload
from paperspace.gradient.server.controller.events import event_of
from paperspace.gradient.server.controller.pins import Pins
from paperspace.gradient.server.controller.ports import next_free_port
from paperspace.gradient.server.controller.state import Instance, Revision, Wanted
from paperspace.gradient.server.controller.steps import (
    Add,
    Adopt,
    AssignPort,
    Change,
    Fail,
    Leave,
    Restart,
    Serve,
    SetState,
    Started,
)
from paperspace.gradient.server.controller.templates import add_templates
from paperspace.gradient.server.controller.workload import workload_of
from paperspace.gradient.server.engines.access import access_of
from paperspace.gradient.server.engines.autoscaling import autoscaling_of, desired_replicas
from paperspace.gradient.server.engines.reasons import Reason
from paperspace.gradient.server.engines.runtime import ERRORED, FAILED, HEALTHY, PENDING
from paperspace.gradient.server.engines.workloads import run_id
from paperspace.gradient.server.ids import ordered_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from paperspace.gradient.server.engines.runtime import Event
    from paperspace.gradient.server.engines.scales import Scales
    from paperspace.gradient.server.engines.workloads import Workloads
    from paperspace.gradient.server.protection import Access
    from paperspace.gradient.server.storage.database import Database
    from paperspace.gradient.server.storage.rows import Row

_NEW = "Waiting to be started."
_DOWN = "Stopped with `gradient server down`. It starts again with the server."
_NO_PORT = "Waiting for a free port in --port-range."

# The tables, not their views: what exists does not depend on the clock, which may have been wrong.
_INSTANCE = """
SELECT instances.*, latest.phase, latest.state, latest.message AS state_message, latest.timestamp AS since,
    (SELECT json_object('port', json_extract(data, '$.port'), 'healthChecks', json_extract(data, '$.healthChecks'))
        FROM deployment_specs WHERE deployment_specs.id = instances.spec_id
        AND json_extract(data, '$.healthChecks') IS NOT NULL) AS spec_with_checks
FROM instances JOIN instance_states AS latest ON latest.seq = (
    SELECT max(seq) FROM instance_states WHERE deployment_run_instance_id = instances.id
)
"""


class Assignment(NamedTuple):
    """What to start for an attempt of an instance."""

    key: ContainerKey
    port: int
    workload: Workload
    protocol: str


class Records:
    """Read and change what the controller knows.

    Args:
        database: The database.
        workloads: Stores events.
        ports: The ports of 127.0.0.1 for containers.
        new_id: Generates the ids of instances.
    """

    def __init__(
        self, database: Database, workloads: Workloads, ports: range, new_id: Callable[[], UUID] = ordered_id
    ) -> None:
        self._db = database
        self._workloads = workloads
        self._ports = ports
        self.max_replicas = len(ports)  # each needs a port
        self._new_id = new_id
        self.pins = Pins(database, workloads)

    @property
    def now(self) -> datetime:
        """The time of the transaction."""
        return self._db.transaction_time

    @property
    def scales(self) -> Scales:
        """The decisions of autoscaling."""
        return self._workloads.scales

    # Desired state

    def unfinished(self) -> list[str]:
        """Return the ids of all deployments that exist or still have instances; first those that have."""
        with_instances = self._ids("SELECT DISTINCT deployment_id AS id FROM instances WHERE dt_deleted IS NULL")
        existing = self._ids("SELECT id FROM deployments WHERE dt_deleted IS NULL")
        return list(dict.fromkeys([*with_instances, *existing]))

    def changed(self, since: datetime) -> list[str]:
        """Return the ids of the deployments that got a spec, or were deleted, since a time. The specs are in the order of time."""
        return self._ids(
            "SELECT deployment_id AS id FROM deployment_specs WHERE seq > coalesce("
            "  (SELECT seq FROM deployment_specs WHERE dt_created < :since ORDER BY seq DESC LIMIT 1), 0"
            " ) UNION SELECT id FROM deployments WHERE dt_deleted >= :since",
            since=iso(since),
        )

    def existing(self, deployment_ids: Iterable[str]) -> frozenset[str]:
        """Return those of the deployments that are not deleted."""
        return frozenset(
            self._ids(
                "SELECT id FROM deployments WHERE dt_deleted IS NULL AND id IN (SELECT value FROM json_each(?))",
                json.dumps(list(deployment_ids)),
            )
        )

    def wanted(self, deployment_id: str) -> Wanted:
        """Return the desired state of a deployment. A spec that was never accepted does not count."""
        add_templates(self._db, deployment_id)
        return self.revisions(deployment_id)

    def revisions(self, deployment_id: str) -> Wanted:
        """Return the same, and store nothing: a new revision may have no template yet."""
        deployments = self._db.rows("SELECT dt_deleted, serving_spec_id FROM deployments WHERE id = ?", deployment_id)
        if not deployments or deployments[0]["dtDeleted"]:
            return Wanted(None)
        newest = self._db.rows(
            "SELECT * FROM deployment_specs WHERE deployment_id = ? AND external_applied IS NOT NULL"
            " ORDER BY seq DESC LIMIT 1",
            deployment_id,
        )
        serving = self._db.rows("SELECT * FROM deployment_specs WHERE id = ?", deployments[0]["servingSpecId"])
        return Wanted(self._revision(newest[0]) if newest else None, self._revision(serving[0]) if serving else None)

    def _revision(self, spec: Row) -> Revision:
        data = json.loads(spec["data"])
        replicas = desired_replicas(data, self.scales.of_spec(spec["id"]))
        return Revision(spec["id"], spec["template"], replicas, spec["error"], autoscaling_of(data))

    def access(self, deployment_id: str, routed: Iterable[str]) -> Access | None:
        """Return who may use the endpoint of a deployment, whose routed instances have these ids. None: everyone."""
        deployments = self._db.rows("SELECT serving_spec_id FROM deployments WHERE id = ?", deployment_id)
        serving_spec_id = deployments[0]["servingSpecId"] if deployments else None
        return access_of(self._db, self._workloads.passwords, deployment_id, serving_spec_id, routed)

    # Observed state

    def instances(self, deployment_id: str) -> tuple[Instance, ...]:
        """Return the instances of a deployment that are not removed, oldest first."""
        rows = self._db.rows(
            f"{_INSTANCE} WHERE instances.deployment_id = ? AND instances.dt_deleted IS NULL ORDER BY instances.seq",
            deployment_id,
        )
        return tuple(
            Instance(
                id=row["id"],
                spec_id=row["specId"],
                template=row["template"],
                port=row["port"],
                attempt=row["attempt"],
                phase=row["phase"],
                state=row["state"],
                message=row["stateMessage"],
                since=datetime.fromisoformat(row["since"]),
                crashes=row["crashes"],
                restart_at=row["restartAt"] and datetime.fromisoformat(row["restartAt"]),
                leaving_since=row["leavingSince"] and datetime.fromisoformat(row["leavingSince"]),
                checks=checks_of(json.loads(row["specWithChecks"])) if row["specWithChecks"] else NO_CHECKS,
            )
            for row in rows
        )

    def removed(self, instance_ids: Iterable[str]) -> frozenset[str]:
        """Return those of the instances that are removed."""
        return frozenset(
            self._ids(
                "SELECT id FROM instances WHERE dt_deleted IS NOT NULL AND id IN (SELECT value FROM json_each(?))",
                json.dumps(list(instance_ids)),
            )
        )

    def unknown(self, instance_ids: Iterable[str]) -> frozenset[str]:
        """Return those of the instances that are not in the database."""
        return frozenset(
            self._ids(
                "SELECT value AS id FROM json_each(?) WHERE value NOT IN (SELECT id FROM instances)",
                json.dumps(list(instance_ids)),
            )
        )

    def running(self) -> int:
        """Return the number of deployments with instances."""
        (row,) = self._db.rows("SELECT count(DISTINCT deployment_id) AS total FROM instances WHERE dt_deleted IS NULL")
        total: int = row["total"]
        return total

    def assignment(self, instance_id: str) -> Assignment:
        """Return what to start for the current attempt of an instance."""
        (row,) = self._db.rows(
            "SELECT instances.*, data, image_id, commits FROM instances"
            " JOIN deployment_specs ON deployment_specs.id = spec_id"
            " LEFT JOIN images ON images.deployment_id = instances.deployment_id AND images.template = instances.template"
            " LEFT JOIN repository_commits AS pinned"
            " ON pinned.deployment_id = instances.deployment_id AND pinned.template = instances.template"
            " WHERE instances.id = ?",
            instance_id,
        )
        spec = json.loads(row["data"])
        return Assignment(
            ContainerKey(row["deploymentId"], row["id"], row["attempt"], row["template"]),
            row["port"],
            workload_of(spec, row["imageId"], json.loads(row["commits"] or "[]")),
            spec.get("protocol") or DEFAULT_PROTOCOL,
        )

    def is_healthy(self, instance_id: str) -> bool:
        """Return whether the state of an instance is that of a ready one."""
        (row,) = self._db.rows(f"{_INSTANCE} WHERE instances.id = ?", instance_id)
        return bool(row["state"] == HEALTHY)

    # Changes

    def record(self, events: Iterable[Event]) -> None:
        """Store events that are no changes of the rule."""
        self._workloads.record(events)

    def store(self, change: Change) -> None:
        """Store a change, and the event that it is."""
        if isinstance(change, SetState) and self._has_state(change):
            return
        self._apply(change)
        if event := event_of(change, self.now):
            self._workloads.record([event])

    def _apply(self, change: Change) -> None:
        now = iso(self.now)
        match change:
            case Serve(spec_id):
                self._db.execute(
                    "UPDATE deployments SET serving_spec_id = ?"
                    " WHERE id = (SELECT deployment_id FROM deployment_specs WHERE deployment_specs.id = ?)",
                    spec_id,
                    spec_id,
                )
                self.scales.serve(spec_id)
            case Fail(spec_id, reason):
                self._db.execute("UPDATE deployment_specs SET error = ? WHERE id = ?", reason, spec_id)
            case Adopt(instance_id, spec_id):
                self._update(instance_id, spec_id=spec_id, run_id=run_id(spec_id))
            case Add(spec_id, number):
                self._add(spec_id, number)
            case Leave(instance_id):
                self._update(instance_id, leaving_since=now)
            case AssignPort(instance_id):
                self._assign_port(instance_id)
            case Restart(instance_id, crashes, at):
                self._next_attempt(instance_id, crashes=crashes, restart_at=iso(at))
            case Started(instance_id):
                self._update(instance_id, restart_at=None)

    def store_down(self) -> None:
        """Store that all containers were stopped. The next server starts those of all instances that have not failed."""
        rows = self._db.rows(f"{_INSTANCE} WHERE instances.dt_deleted IS NULL AND leaving_since IS NULL")
        for row in rows:
            if row["state"] not in (ERRORED, FAILED):
                self.store(SetState(row["id"], "Pending", PENDING, _DOWN, Reason.SERVER_DOWN))

    def _add(self, spec_id: str, number: int) -> None:
        (spec,) = self._db.rows("SELECT * FROM deployment_specs WHERE id = ?", spec_id)
        for _ in range(number):
            id_ = str(self._new_id())
            row = {"id": id_, "run_id": run_id(spec_id), "deployment_id": spec["deploymentId"], "spec_id": spec_id}
            row |= {"instance_id": f"instance-{id_.rpartition('-')[2]}", "dt_created": iso(self.now)}
            self._db.insert("instances", [row | {"template": spec["template"]}])
            self.store(SetState(id_, "Pending", PENDING, _NEW))

    def _assign_port(self, instance_id: str) -> None:
        """Reserve another port for a new attempt. If no port is free, the instance waits for one.

        Its own port, which another program uses, is released first: that program may end before a replica does.
        """
        rows = self._db.rows("SELECT id, port FROM instances WHERE port IS NOT NULL AND dt_deleted IS NULL")
        ports = {row["id"]: row["port"] for row in rows}
        latest = self._db.rows("SELECT port FROM instances WHERE port IS NOT NULL ORDER BY seq DESC LIMIT 1")
        after = ports.get(instance_id) or (latest[0]["port"] if latest else None)
        port = next_free_port(self._ports, frozenset(ports.values()), after)
        if port is not None:
            self._next_attempt(instance_id, port=port)
            return
        if instance_id in ports:
            self._next_attempt(instance_id, port=None)
        self.store(SetState(instance_id, "Pending", PENDING, _NO_PORT, Reason.NO_FREE_PORT))

    def _has_state(self, change: SetState) -> bool:
        """Whether an instance has a state already."""
        rows = self._db.rows(
            "SELECT phase, state, message FROM instance_states WHERE deployment_run_instance_id = ?"
            " ORDER BY seq DESC LIMIT 1",
            change.instance_id,
        )
        return [tuple(row.values()) for row in rows] == [(change.phase, change.state, change.message)]

    def _next_attempt(self, instance_id: str, **values: object) -> None:
        self._db.execute("UPDATE instances SET attempt = attempt + 1 WHERE id = ?", instance_id)
        self._update(instance_id, **values)

    def _update(self, instance_id: str, **values: object) -> None:
        columns = ", ".join(f"{column} = ?" for column in values)
        self._db.execute(f"UPDATE instances SET {columns} WHERE id = ?", *values.values(), instance_id)  # noqa: S608

    def _ids(self, sql: str, *values: object, **named: object) -> list[str]:
        return [row["id"] for row in self._db.rows(sql, *values, **named)]
