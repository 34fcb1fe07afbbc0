"""Rollouts, runs, instances, their states and logs: what became of the specs, in SQLite."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID, uuid5

from paperspace.gradient.server.clock import iso
from paperspace.gradient.server.engines.runtime import CannotRunError, Gone, Instance, Line, State, Work
from paperspace.gradient.server.storage.database import Nested

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from paperspace.gradient.server.engines.runtime import Event, Runtime
    from paperspace.gradient.server.storage.batching import Row
    from paperspace.gradient.server.storage.database import Database

ROLLOUTS = Nested("rollouts", "deployment_id", newest_first=True)
RUNS_OF_ROLLOUT = Nested("runs_now", "rollout_id", newest_first=True)
RUNS_OF_SPEC = Nested("runs_now", "spec_id", newest_first=True)
INSTANCES = Nested("instances_now", "run_id", newest_first=False)
STATES = Nested("states_now", "deployment_run_instance_id", newest_first=False)
LOGS = Nested("logs_now", "deployment_id", newest_first=False)
LINES = Nested("lines_now", "deployment_run_instance_id", newest_first=False)


class Serving(NamedTuple):
    """What stands behind the endpoint of a deployment: the newest spec that has ready instances, and their number."""

    spec_id: str | None
    ready: int


class Workloads:
    """Keeps what the runtime says, and tells it what is wanted. A transaction has been begun by the caller."""

    def __init__(self, database: Database, runtime: Runtime) -> None:
        self._db = database
        self._runtime = runtime

    @property
    def simulated(self) -> bool:
        """Whether nothing is run for real."""
        return self._runtime.simulated

    def put_to_work(self, deployment_id: str) -> None:
        """Makes the newest spec of a deployment what is run, in place of what ran before."""
        (spec,) = self._db.rows(
            "SELECT deployment_specs.*, name FROM deployment_specs JOIN deployments ON deployments.id = deployment_id"
            " WHERE deployment_id = ? ORDER BY deployment_specs.seq DESC LIMIT 1",
            deployment_id,
        )
        work = Work(spec["name"], json.loads(spec["data"]))
        try:
            wanted = self._runtime.replicas(work)
        except CannotRunError as error:
            self._db.execute("UPDATE deployment_specs SET error = ? WHERE id = ?", str(error), spec["id"])
            return
        moment = iso(self._db.moment)
        self._db.execute(
            "UPDATE deployment_specs SET external_applied = ? WHERE id = ? AND external_applied IS NULL",
            moment,
            spec["id"],
        )
        self._forget_the_future(deployment_id)
        self._add_instances(spec, wanted)
        self.record(self._runtime.events(work, self._instances(deployment_id, spec["id"]), self._db.moment))

    def put_all_to_work(self) -> None:
        """Puts to work what is not: the specs of a database from before there were runs."""
        for row in self._db.rows(
            "SELECT deployments.id FROM deployments JOIN deployment_specs ON deployment_id = deployments.id"
            " WHERE dt_deleted IS NULL AND dt_invalid IS NULL AND external_applied IS NULL AND error IS NULL"
        ):
            self.put_to_work(row["id"])

    def end(self, deployment_id: str) -> None:
        """Takes away all that runs for a deployment."""
        self._forget_the_future(deployment_id)
        self.record(self._runtime.events(None, self._instances(deployment_id, None), self._db.moment))

    def record(self, events: Iterable[Event]) -> None:
        """Keeps events: those that a runtime foresees, and those that it has to tell of later."""
        for event in sorted(events, key=lambda event: event.at):
            match event:
                case State(instance, at, phase, state, message):
                    number = self._count("instance_states", instance)
                    row: dict[str, Any] = {"phase": phase, "state": state, "message": message, "timestamp": iso(at)}
                    row |= {"id": str(uuid5(UUID(instance), f"state {number}")), "deployment_run_instance_id": instance}
                    self._db.insert("instance_states", [row])
                case Line(instance, at, message):
                    row = {"line": self._count("log_lines", instance) + 1, "message": message, "dt_created": iso(at)}
                    self._db.insert("log_lines", [row | {"deployment_run_instance_id": instance}])
                case Gone(instance, at):
                    self._db.execute("UPDATE instances SET dt_deleted = ? WHERE id = ?", iso(at), instance)

    def log(self, deployment_ids: Sequence[str], instance_name: str) -> dict[str, Row]:
        """For those of the deployments that have an instance of the name, its log."""
        rows = self._db.rows(
            "SELECT * FROM logs_now WHERE instance_name = ? AND deployment_id IN (SELECT value FROM json_each(?))",
            instance_name,
            json.dumps(deployment_ids),
        )
        return {row["deploymentId"]: row for row in rows}

    def serving(self, deployment_id: str) -> Serving:
        """What stands behind the endpoint of a deployment."""
        rows = self._db.rows(
            "SELECT spec_id, count(*) AS ready FROM instances_now"
            " WHERE deployment_id = ? AND dt_deleted IS NULL AND state = 'healthy'"
            " GROUP BY spec_id ORDER BY max(seq) DESC",
            deployment_id,
        )
        return Serving(rows[0]["specId"] if rows else None, sum(row["ready"] for row in rows))

    def _instances(self, deployment_id: str, spec_id: str | None) -> list[Instance]:
        rows = self._db.rows(
            "SELECT id, spec_id, state FROM instances_now WHERE deployment_id = ? AND dt_deleted IS NULL ORDER BY seq",
            deployment_id,
        )
        return [Instance(row["id"], row["specId"] == spec_id, row["state"]) for row in rows]

    def _add_instances(self, spec: Row, wanted: int) -> None:
        """Makes the rollout of a spec, and its run and instances as far as they are wanted and missing.

        Ids are derived from that of the spec, so that they are as fixed, or as random, as ids are where they come from.
        """
        moment, space = iso(self._db.moment), UUID(spec["id"])
        rollout_id, run_id = str(uuid5(space, "rollout")), str(uuid5(space, "run"))
        of = {"deployment_id": spec["deploymentId"], "spec_id": spec["id"], "dt_created": moment}
        if not self._db.rows("SELECT id FROM rollouts WHERE id = ?", rollout_id):
            self._db.insert("rollouts", [{"id": rollout_id, **of}])
            if wanted:
                self._db.insert("runs", [{"id": run_id, "rollout_id": rollout_id, **of}])
        (counts,) = self._db.rows(
            "SELECT count(*) AS ever, count(*) FILTER (WHERE dt_deleted IS NULL) AS present FROM instances_now"
            " WHERE run_id = ?",
            run_id,
        )
        self._db.insert(
            "instances",
            (
                {
                    "id": str(uuid5(space, f"instance {number}")),
                    "run_id": run_id,
                    "instance_id": f"instance-{spec['id'].rpartition('-')[2]}-{number}",
                    **of,
                }
                for number in range(counts["ever"], counts["ever"] + wanted - counts["present"])
            ),
        )

    def _forget_the_future(self, deployment_id: str) -> None:
        """What was still to happen will not: something else is wanted."""
        moment = iso(self._db.moment)
        instances = "(SELECT id FROM instances WHERE deployment_id = ?)"
        for table, at in (("instance_states", "timestamp"), ("log_lines", "dt_created")):
            self._db.execute(
                f"DELETE FROM {table} WHERE {at} > ? AND deployment_run_instance_id IN {instances}",  # noqa: S608
                moment,
                deployment_id,
            )
        self._db.execute(
            "UPDATE instances SET dt_deleted = NULL WHERE dt_deleted > ? AND deployment_id = ?", moment, deployment_id
        )

    def _count(self, table: str, instance: str) -> int:
        (row,) = self._db.rows(
            f"SELECT count(*) AS number FROM {table} WHERE deployment_run_instance_id = ?",  # noqa: S608
            instance,
        )
        number: int = row["number"]
        return number
