"""The desired state: deployments, their specs, the clusters; and saved responses of mutations.

Callers run the store's methods in a transaction of its database.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient._shared.problems import shorten
from paperspace.gradient.server.clock import iso
from paperspace.gradient.server.errors import ApplicationError
from paperspace.gradient.server.storage.database import ChildTable

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable, Generator, Mapping, Sequence

    from paperspace.gradient.server.storage.database import Database
    from paperspace.gradient.server.storage.rows import Row
    from paperspace.gradient.server.storage.window import Page, Window

SPECS = ChildTable("deployment_specs", "deployment_id", newest_first=True)
DEFAULT_CLUSTER = "local"
RESPONSE_LIFETIME = timedelta(hours=24)
_MAX_SAVED_RESPONSE = 64 * 1024  # bytes
_KEPT_RESPONSES = 1000  # the newest are kept, so that a retry finds its own even if the clock jumps by days in between
_DELETED_RESPONSES = 5  # expired ones, for each new one: each is on another page of a large database


class SavedResult(NamedTuple):
    """The result of an earlier attempt: its response or, if that was too large, the deployment that was returned."""

    response: bytes | None
    deployment: Row | None


class Store:
    """Read and change deployments and their specs. `actor` is the full name stored as the author of specs."""

    def __init__(self, database: Database, *, actor: str, new_id: Callable[[], uuid.UUID]) -> None:
        self._db = database
        self._actor = actor
        self._new_id = new_id

    def last_change(self) -> datetime | None:
        """Return the time of the newest spec or saved response, or of the last delete or removal, if there is one."""
        (row,) = self._db.rows(
            "SELECT max(coalesce((SELECT dt_created FROM deployment_specs ORDER BY seq DESC LIMIT 1), ''),"
            " coalesce((SELECT max(dt_created) FROM replies), ''), coalesce((SELECT last_removal FROM server), ''),"
            " coalesce((SELECT max(dt_deleted) FROM deployments WHERE dt_deleted IS NOT NULL), '')) AS time"
        )
        try:
            time = datetime.fromisoformat(row["time"])
        except ValueError:
            return None
        return time if time.tzinfo else None

    # Deployments

    def deployments(
        self, window: Window, *, name: str | None = None, project_id: str | None = None, cluster_id: str | None = None
    ) -> Page:
        """Return a page of the deployments that are not deleted, filtered by name, project and cluster."""
        values = {"name": name, "project_id": project_id, "cluster_id": cluster_id}
        filters = [f"{column} = :{column}" for column, value in values.items() if value is not None]
        if cluster_id is None:
            source = "deployments"
            filters.append("dt_deleted IS NULL")
        elif name is None:
            source = "deployments_of_clusters"
        else:
            # Few deployments have the same name.
            source = "deployments JOIN deployments_of_clusters USING (seq, project_id)"
            filters.append("dt_deleted IS NULL")
        return self._db.page("deployments", " AND ".join(filters), window, source=source, **values)

    def deployments_by_id(self, ids: Sequence[str]) -> dict[str, Row]:
        """Return the deployments with these ids that exist and are not deleted, by id."""
        return self._db.by_id("SELECT * FROM deployments WHERE dt_deleted IS NULL AND id", ids)

    def create_deployment(self, *, name: str, project_id: str, cluster_id: str | None, data: Mapping[str, Any]) -> Row:
        """Create a deployment with its first spec.

        Raises:
            ApplicationError: the name is already in use.
        """
        now = iso(self._db.transaction_time)
        id_ = str(self._new_id())
        with self._conflict_if_name_taken(name, project_id):
            self._db.execute(
                "INSERT INTO deployments (id, project_id, name, dt_created) VALUES (?, ?, ?, ?)",
                id_,
                project_id,
                name,
                now,
            )
        self._add_spec(id_, DEFAULT_CLUSTER if cluster_id is None else cluster_id, json.dumps(data), now)
        return self._existing(id_)

    def update_deployment(
        self,
        id_: str,
        *,
        name: str | None,
        project_id: str | None,
        cluster_id: str | None,
        data: Mapping[str, Any] | None,
    ) -> Row:
        """Change what is not None and return the deployment. New data, or another cluster, add a spec.

        Raises:
            ApplicationError: no deployment has this id, or the new name is already in use.
        """
        now = iso(self._db.transaction_time)
        deployment = self._existing(id_)
        new_name = deployment["name"] if name is None else name
        new_project = deployment["projectId"] if project_id is None else project_id
        with self._conflict_if_name_taken(new_name, new_project):
            if (new_name, new_project) != (deployment["name"], deployment["projectId"]):  # else no index changes
                query = "UPDATE deployments SET name = ?, project_id = ? WHERE id = ?"
                self._db.execute(query, new_name, new_project, id_)
        self._db.execute("UPDATE deployments SET dt_modified = ? WHERE id = ?", now, id_)
        spec = self._db.rows("SELECT * FROM deployment_specs WHERE deployment_id = ? ORDER BY seq DESC LIMIT 1", id_)[0]
        if data is not None or cluster_id not in (None, spec["clusterId"]):
            data_text = spec["data"] if data is None else json.dumps(data)
            self._add_spec(id_, spec["clusterId"] if cluster_id is None else cluster_id, data_text, now)
        return self._existing(id_)

    def delete_deployment(self, id_: str) -> Row:
        """Mark a deployment as deleted and return it as it was before.

        Raises:
            ApplicationError: no deployment has this id.
        """
        now = iso(self._db.transaction_time)
        deployment = self._existing(id_)
        self._db.execute("UPDATE deployments SET dt_deleted = ? WHERE id = ?", now, id_)
        self._invalidate_spec(id_, now)
        return deployment

    def _existing(self, id_: str) -> Row:
        deployment = self.deployments_by_id([id_]).get(id_)
        if deployment is None:
            raise ApplicationError(Code.NOT_FOUND, f"no deployment has the id {id_}", path="input.id")
        return deployment

    @contextmanager
    def _conflict_if_name_taken(self, name: str, project_id: str) -> Generator[None]:
        """Convert a violation of the unique index on names to a conflict.

        Raises:
            ApplicationError: the name is already in use.
        """
        try:
            yield
        except sqlite3.IntegrityError as error:
            if not self._name_exists(name, project_id):
                raise
            message = f"a deployment named {name!r} already exists in project {shorten(repr(project_id))}"
            raise ApplicationError(Code.CONFLICT, message, path="input.name") from error

    def _name_exists(self, name: str, project_id: str) -> bool:
        condition = "dt_deleted IS NULL AND project_id = ? AND name = ?"
        return bool(self._db.rows(f"SELECT 1 FROM deployments WHERE {condition}", project_id, name))  # noqa: S608

    # Specs and clusters

    def specs(self, deployment_ids: Sequence[str], window: Window, *, cluster_id: str | None) -> dict[str, Page]:
        """Return, for each deployment, a page of its specs; with a cluster id, only of those on that cluster."""
        condition = "TRUE" if cluster_id is None else "cluster_id = :cluster_id"
        return self._db.child_pages(SPECS, deployment_ids, window, condition, cluster_id=cluster_id)

    def clusters_by_id(self, ids: Sequence[str]) -> dict[str, Row]:
        """Return the clusters with these ids, by id."""
        return self._db.by_id("SELECT * FROM clusters WHERE id", ids)

    def _add_spec(self, deployment_id: str, cluster_id: str, data: str, now: str) -> None:
        self._invalidate_spec(deployment_id, now)
        self._db.execute(
            "INSERT INTO clusters (id, name, dt_created, dt_modified) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            cluster_id,
            cluster_id,
            now,
            now,
        )
        self._db.execute(
            "INSERT INTO deployment_specs (id, deployment_id, cluster_id, actor, data, dt_created)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            str(self._new_id()),
            deployment_id,
            cluster_id,
            self._actor,
            data,
            now,
        )

    def _invalidate_spec(self, deployment_id: str, now: str) -> None:
        self._db.execute(
            "UPDATE deployment_specs SET dt_invalid = ? WHERE deployment_id = ? AND dt_invalid IS NULL",
            now,
            deployment_id,
        )

    # Saved results: a retried mutation gets its first result again

    def saved_result(self, key: bytes, request: bytes) -> SavedResult | None:
        """Return the saved result for this idempotency key, if there is one.

        An expired response still counts. If it was too large to be saved, it counts until its deployment is deleted: then the
        deployment may be removed.

        Raises:
            ApplicationError: the key was used for another request.
        """
        expired = iso(self._db.transaction_time - RESPONSE_LIFETIME)
        newer = "(SELECT max(rowid) FROM replies) - ?"
        # The plus sign: SQLite is to use the index on the dates.
        old = f"SELECT rowid FROM replies WHERE dt_created < ? AND +rowid <= {newer} ORDER BY dt_created LIMIT ?"  # noqa: S608
        self._db.execute(
            f"DELETE FROM replies WHERE rowid IN ({old})",  # noqa: S608
            expired,
            _KEPT_RESPONSES,
            _DELETED_RESPONSES,
        )
        existing = "SELECT id FROM deployments WHERE dt_deleted IS NULL AND id = json_extract(deployment, '$.id')"
        rows = self._db.rows(
            "SELECT * FROM replies WHERE idempotency_key = ?"  # noqa: S608
            f" AND (deployment IS NULL OR dt_created >= ? OR EXISTS ({existing}))",
            key,
            expired,
        )
        if not rows:
            return None
        (saved,) = rows
        if saved["request"] != request:
            message = "this Idempotency-Key was used for another request; use a new one for each mutation"
            raise ApplicationError(Code.BAD_USER_INPUT, message)
        if saved["deployment"] is None:
            return SavedResult(saved["reply"], None)
        return SavedResult(None, self._db.restored(json.loads(saved["deployment"])))

    def save_result(self, key: bytes, request: bytes, response: bytes, deployment: Row) -> None:
        """Save the result of a mutation for retries of the request: the response or, if it is large, the deployment."""
        is_large = len(response) > _MAX_SAVED_RESPONSE
        self._db.execute(
            "INSERT OR REPLACE INTO replies (idempotency_key, request, reply, deployment, dt_created)"
            " VALUES (?, ?, ?, ?, ?)",
            key,
            request,
            b"" if is_large else response,
            json.dumps(deployment) if is_large else None,
            iso(self._db.transaction_time),
        )
