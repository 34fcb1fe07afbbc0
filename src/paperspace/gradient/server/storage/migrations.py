"""The tables, as migrations: create them, or migrate those of an older version."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION_ID = 0x47724C73  # marks our files, since version 2

# Each migration runs once, in one transaction together with the new version number. A released migration never
# changes. `seq` numbers the rows of a table in the order of insertion; numbers are never reused.
MIGRATIONS = (
    (
        """
        CREATE TABLE clusters (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            dt_created TEXT NOT NULL,
            dt_modified TEXT NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE deployments (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            project_id TEXT NOT NULL,
            name TEXT NOT NULL,
            dt_created TEXT NOT NULL,
            dt_modified TEXT,
            dt_deleted TEXT
        ) STRICT
        """,
        # This index guarantees unique names; no check runs before an insert.
        "CREATE UNIQUE INDEX deployments_by_name ON deployments (project_id, name) WHERE dt_deleted IS NULL",
        """
        CREATE TABLE deployment_specs (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            deployment_id TEXT NOT NULL REFERENCES deployments (id),
            cluster_id TEXT NOT NULL REFERENCES clusters (id),
            actor TEXT NOT NULL,
            data TEXT NOT NULL,
            dt_created TEXT NOT NULL,
            dt_invalid TEXT,
            external_applied TEXT,
            error TEXT
        ) STRICT
        """,
        "CREATE INDEX deployment_specs_by_deployment ON deployment_specs (deployment_id, seq)",
        """
        CREATE TABLE replies (
            idempotency_key BLOB PRIMARY KEY,
            request BLOB NOT NULL,
            reply BLOB NOT NULL,
            dt_created TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX replies_by_age ON replies (dt_created)",
    ),
    (
        """
        CREATE TABLE rollouts (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            deployment_id TEXT NOT NULL REFERENCES deployments (id),
            spec_id TEXT NOT NULL REFERENCES deployment_specs (id),
            dt_created TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX rollouts_by_deployment ON rollouts (deployment_id, seq)",
        """
        CREATE TABLE runs (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            rollout_id TEXT NOT NULL REFERENCES rollouts (id),
            deployment_id TEXT NOT NULL REFERENCES deployments (id),
            spec_id TEXT NOT NULL REFERENCES deployment_specs (id),
            dt_created TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX runs_by_rollout ON runs (rollout_id, seq)",
        "CREATE INDEX runs_by_spec ON runs (spec_id, seq)",
        """
        CREATE TABLE instances (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            run_id TEXT NOT NULL REFERENCES runs (id),
            deployment_id TEXT NOT NULL REFERENCES deployments (id),
            spec_id TEXT NOT NULL REFERENCES deployment_specs (id),
            instance_id TEXT NOT NULL UNIQUE,
            dt_created TEXT NOT NULL,
            dt_deleted TEXT
        ) STRICT
        """,
        "CREATE INDEX instances_by_run ON instances (run_id, seq)",
        "CREATE INDEX instances_by_deployment ON instances (deployment_id, seq)",
        """
        CREATE TABLE instance_states (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            deployment_run_instance_id TEXT NOT NULL REFERENCES instances (id),
            timestamp TEXT NOT NULL,
            phase TEXT NOT NULL,
            state TEXT NOT NULL,
            message TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX instance_states_by_instance ON instance_states (deployment_run_instance_id, seq)",
        """
        CREATE TABLE log_lines (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            deployment_run_instance_id TEXT NOT NULL REFERENCES instances (id),
            line INTEGER NOT NULL,
            message TEXT NOT NULL,
            dt_created TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX log_lines_by_instance ON log_lines (deployment_run_instance_id, seq)",
        f"PRAGMA application_id = {APPLICATION_ID}",
    ),
    (
        # One row. The id marks the containers of this database. `engine` is null until it is selected; what is in
        # databases from before is simulated.
        "CREATE TABLE server (id TEXT NOT NULL, engine TEXT) STRICT",
        """
        INSERT INTO server (id, engine)
        SELECT lower(hex(randomblob(16))), CASE WHEN EXISTS (SELECT 1 FROM deployments) THEN 'simulated' END
        """,
        # What the controller needs to know about what it runs; the simulation does not use these columns.
        "ALTER TABLE deployments ADD COLUMN serving_spec_id TEXT REFERENCES deployment_specs (id)",
        "ALTER TABLE deployment_specs ADD COLUMN template TEXT",
        "ALTER TABLE instances ADD COLUMN template TEXT",
        "ALTER TABLE instances ADD COLUMN port INTEGER",
        "ALTER TABLE instances ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE instances ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE instances ADD COLUMN restart_at TEXT",
        "ALTER TABLE instances ADD COLUMN leaving_since TEXT",
        # This index guarantees that two instances never have the same port.
        "CREATE UNIQUE INDEX instances_by_port ON instances (port) WHERE dt_deleted IS NULL",
        # For what the controller reads after each change.
        "CREATE INDEX present_instances ON instances (deployment_id) WHERE dt_deleted IS NULL",
        """
        CREATE INDEX deployment_specs_without_template ON deployment_specs (deployment_id)
        WHERE template IS NULL AND external_applied IS NOT NULL
        """,
        """
        CREATE TABLE images (
            deployment_id TEXT NOT NULL REFERENCES deployments (id),
            template TEXT NOT NULL,
            image_id TEXT NOT NULL,
            PRIMARY KEY (deployment_id, template)
        ) STRICT
        """,
        # The commits of the repositories of a spec, as a JSON array in the order of the spec.
        """
        CREATE TABLE repository_commits (
            deployment_id TEXT NOT NULL REFERENCES deployments (id),
            template TEXT NOT NULL,
            commits TEXT NOT NULL,
            PRIMARY KEY (deployment_id, template)
        ) STRICT
        """,
    ),
    (
        # With these indexes, no statement reads more rows because there are more in the database: neither deployments, nor
        # earlier specs or removed instances of a deployment. The partial ones have only the few rows that are looked for.
        "CREATE INDEX present_deployments ON deployments (dt_deleted) WHERE dt_deleted IS NULL",
        "CREATE INDEX present_deployments_by_name ON deployments (name) WHERE dt_deleted IS NULL",
        "CREATE INDEX present_deployments_by_project ON deployments (project_id) WHERE dt_deleted IS NULL",
        "CREATE INDEX deployment_specs_by_cluster ON deployment_specs (deployment_id, cluster_id)",
        "CREATE INDEX valid_deployment_specs ON deployment_specs (deployment_id) WHERE dt_invalid IS NULL",
        """
        CREATE INDEX unapplied_deployment_specs ON deployment_specs (external_applied)
        WHERE dt_invalid IS NULL AND external_applied IS NULL AND error IS NULL
        """,
        "CREATE INDEX instances_by_removal ON instances (deployment_id, coalesce(dt_deleted, 'never'))",
        """
        CREATE INDEX running_instance_states ON instance_states (deployment_run_instance_id, seq)
        WHERE phase = 'Running'
        """,
        # For what the controller reads after each change. Earlier specs have no template if the simulation ran them.
        "DROP INDEX deployment_specs_without_template",
        """
        CREATE INDEX unread_deployment_specs ON deployment_specs (deployment_id)
        WHERE template IS NULL AND external_applied IS NOT NULL AND dt_invalid IS NULL
        """,
        "CREATE INDEX deployment_specs_with_template ON deployment_specs (deployment_id, seq) WHERE template IS NOT NULL",
        "CREATE INDEX instances_with_port ON instances (seq) WHERE port IS NOT NULL",
        # The deployment that a mutation returned, if the response is too large to be saved.
        "ALTER TABLE replies ADD COLUMN deployment TEXT",
        # The present deployments of each cluster, by the number of the deployment. Triggers keep it complete.
        """
        CREATE TABLE deployments_of_clusters (
            seq INTEGER NOT NULL,
            cluster_id TEXT NOT NULL,
            project_id TEXT NOT NULL,
            PRIMARY KEY (seq, cluster_id)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX deployments_by_cluster ON deployments_of_clusters (cluster_id, seq)",
        "CREATE INDEX deployments_by_cluster_and_project ON deployments_of_clusters (cluster_id, project_id, seq)",
        """
        INSERT INTO deployments_of_clusters (seq, cluster_id, project_id)
        SELECT DISTINCT deployments.seq, cluster_id, project_id
        FROM deployments JOIN deployment_specs ON deployment_id = deployments.id WHERE dt_deleted IS NULL
        """,
        """
        CREATE TRIGGER deployment_on_a_cluster AFTER INSERT ON deployment_specs BEGIN
            INSERT INTO deployments_of_clusters (seq, cluster_id, project_id)
            SELECT seq, NEW.cluster_id, project_id FROM deployments WHERE id = NEW.deployment_id AND dt_deleted IS NULL
            ON CONFLICT DO NOTHING;
        END
        """,
        """
        CREATE TRIGGER deployment_moved AFTER UPDATE OF project_id ON deployments
        WHEN NEW.project_id <> OLD.project_id BEGIN
            UPDATE deployments_of_clusters SET project_id = NEW.project_id WHERE seq = NEW.seq;
        END
        """,
        """
        CREATE TRIGGER deployment_deleted AFTER UPDATE OF dt_deleted ON deployments
        WHEN NEW.dt_deleted IS NOT NULL BEGIN
            DELETE FROM deployments_of_clusters WHERE seq = NEW.seq;
        END
        """,
    ),
    (
        # One row for each time that an event happens. The newest row of an id has the number of times until then; earlier
        # rows with this id are kept only while the newest one is in the future.
        """
        CREATE TABLE deployment_events (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL,
            deployment_id TEXT NOT NULL REFERENCES deployments (id),
            deployment_spec_id TEXT REFERENCES deployment_specs (id),
            instance_name TEXT,
            severity TEXT NOT NULL,
            reason TEXT NOT NULL,
            message TEXT NOT NULL,
            count INTEGER NOT NULL,
            dt_created TEXT NOT NULL,
            dt_last TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX deployment_events_by_deployment ON deployment_events (deployment_id, seq, dt_last)",
        "CREATE INDEX deployment_events_by_id ON deployment_events (id, seq, dt_last)",
        # What autoscaling has decided, or will decide: the number of replicas of a spec.
        """
        CREATE TABLE scales (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            deployment_id TEXT NOT NULL REFERENCES deployments (id),
            spec_id TEXT NOT NULL REFERENCES deployment_specs (id),
            replicas INTEGER NOT NULL,
            reason TEXT NOT NULL,
            dt_created TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX scales_by_deployment ON scales (deployment_id)",
        "CREATE INDEX scales_by_spec ON scales (spec_id, seq)",
        # A run that is scaled gets ever more removed instances.
        "CREATE INDEX instances_of_run_by_removal ON instances (run_id, coalesce(dt_deleted, 'never'))",
        # For the removal of deleted deployments. Few large responses are saved.
        "CREATE INDEX deleted_deployments ON deployments (dt_deleted) WHERE dt_deleted IS NOT NULL",
        "CREATE INDEX large_replies ON replies (json_extract(deployment, '$.id')) WHERE deployment IS NOT NULL",
        # When rows of deleted deployments were last removed.
        "ALTER TABLE server ADD COLUMN last_removal TEXT",
    ),
    (
        # A cluster is kept as long as a spec refers to it.
        "CREATE INDEX deployment_specs_of_cluster ON deployment_specs (cluster_id)",
        "DELETE FROM clusters WHERE id NOT IN (SELECT cluster_id FROM deployment_specs)",
        """
        CREATE TRIGGER cluster_unused AFTER DELETE ON deployment_specs
        WHEN NOT EXISTS (SELECT 1 FROM deployment_specs WHERE cluster_id = OLD.cluster_id) BEGIN
            DELETE FROM clusters WHERE id = OLD.cluster_id;
        END
        """,
    ),
    (
        # For the template of a new revision: the latest one of an equal spec.
        """
        CREATE INDEX deployment_specs_by_template ON deployment_specs (deployment_id, template, seq)
        WHERE template IS NOT NULL AND error IS NULL
        """,
        "DROP INDEX unread_deployment_specs",
    ),
)


def migrate(connection: sqlite3.Connection, file: Path | None) -> None:
    """Migrate the tables to the newest version. Before, copy a file of an older version."""
    if file and 0 < (version := version_of(connection)) < len(MIGRATIONS):
        _back_up(connection, file.with_name(f"{file.name}.version-{version}"))
    for version, statements in enumerate(MIGRATIONS, start=1):
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            if version_of(connection) < version:
                for statement in statements:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version}")


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of the tables; 0 if there are none."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _back_up(connection: sqlite3.Connection, file: Path) -> None:
    with suppress(FileExistsError):  # of a migration that did not end
        file.touch(0o600, exist_ok=False)
    with closing(sqlite3.connect(file)) as backup:
        connection.backup(backup)
