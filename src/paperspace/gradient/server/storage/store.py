"""Deployments, their specs, the clusters, and the replies that are kept, in SQLite.

Whoever calls a store has begun a transaction of its database.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient._shared.problems import shorten
from paperspace.gradient.server.clock import iso
from paperspace.gradient.server.errors import Refusal
from paperspace.gradient.server.storage.database import Nested

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable, Generator, Mapping, Sequence

    from paperspace.gradient.server.engines.workloads import Workloads
    from paperspace.gradient.server.graphql.pagination import Page, Window
    from paperspace.gradient.server.storage.batching import Row
    from paperspace.gradient.server.storage.database import Database

SPECS = Nested("deployment_specs", "deployment_id", newest_first=True)
DEFAULT_CLUSTER = "local"
_REPLIES_KEPT_FOR = timedelta(hours=24)


class Store:
    """Reads and changes deployments and what belongs to them. `actor` is the full name of who makes the specs."""

    def __init__(
        self, database: Database, workloads: Workloads, *, actor: str, new_id: Callable[[], uuid.UUID]
    ) -> None:
        self._db = database
        self._workloads = workloads
        self._actor = actor
        self._new_id = new_id

    # Deployments

    def deployments(self, window: Window, *, name: str | None = None, project_id: str | None = None) -> Page:
        """A page of the deployments that are not deleted and meet the given conditions."""
        conditions = "dt_deleted IS NULL"
        if name is not None:
            conditions += " AND name = :name"
        if project_id is not None:
            conditions += " AND project_id = :project_id"
        return self._db.page("deployments", conditions, window, name=name, project_id=project_id)

    def deployments_by_id(self, ids: Sequence[str]) -> dict[str, Row]:
        """Those of the deployments that exist and are not deleted."""
        return self._db.by_id("SELECT * FROM deployments WHERE dt_deleted IS NULL AND id", ids)

    def create_deployment(self, *, name: str, project_id: str, cluster_id: str | None, data: Mapping[str, Any]) -> Row:
        """A new deployment with its first spec.

        Raises:
            Refusal: The name is taken.
        """
        moment = iso(self._db.moment)
        id_ = str(self._new_id())
        with _names_are_unique(name, project_id):
            self._db.execute(
                "INSERT INTO deployments (id, project_id, name, dt_created) VALUES (?, ?, ?, ?)",
                id_,
                project_id,
                name,
                moment,
            )
        self._add_spec(id_, DEFAULT_CLUSTER if cluster_id is None else cluster_id, json.dumps(data), moment)
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
        """The deployment after the change of what is not None.

        Raises:
            Refusal: There is none with this id, or the new name is taken.
        """
        moment = iso(self._db.moment)
        deployment = self._existing(id_)
        new_name = deployment["name"] if name is None else name
        new_project = deployment["projectId"] if project_id is None else project_id
        with _names_are_unique(new_name, new_project):
            self._db.execute(
                "UPDATE deployments SET name = ?, project_id = ?, dt_modified = ? WHERE id = ?",
                new_name,
                new_project,
                moment,
                id_,
            )
        spec = self._db.rows("SELECT * FROM deployment_specs WHERE deployment_id = ? ORDER BY seq DESC LIMIT 1", id_)[0]
        if data is not None or cluster_id not in (None, spec["clusterId"]):
            data_text = spec["data"] if data is None else json.dumps(data)
            self._add_spec(id_, spec["clusterId"] if cluster_id is None else cluster_id, data_text, moment)
        return self._existing(id_)

    def delete_deployment(self, id_: str) -> Row:
        """The deployment as it was before it was marked as deleted.

        Raises:
            Refusal: There is none with this id.
        """
        moment = iso(self._db.moment)
        deployment = self._existing(id_)
        self._db.execute("UPDATE deployments SET dt_deleted = ? WHERE id = ?", moment, id_)
        self._end_spec(id_, moment)
        self._workloads.end(id_)
        return deployment

    def _existing(self, id_: str) -> Row:
        deployment = self.deployments_by_id([id_]).get(id_)
        if deployment is None:
            raise Refusal(Code.NOT_FOUND, f"There is no deployment with the id {id_}.", path="input.id")
        return deployment

    # Specs and clusters

    def specs(self, deployment_ids: Sequence[str], window: Window, *, cluster_id: str | None) -> dict[str, Page]:
        """For each of the deployments, a page of its specs; only of those on the given cluster, if there is one."""
        condition = "TRUE" if cluster_id is None else "cluster_id = :cluster_id"
        return self._db.nested(SPECS, deployment_ids, window, condition, cluster_id=cluster_id)

    def clusters_by_id(self, ids: Sequence[str]) -> dict[str, Row]:
        """Those of the clusters that are known."""
        return self._db.by_id("SELECT * FROM clusters WHERE id", ids)

    def _add_spec(self, deployment_id: str, cluster_id: str, data: str, moment: str) -> None:
        self._end_spec(deployment_id, moment)
        self._db.execute(
            "INSERT INTO clusters (id, name, dt_created, dt_modified) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            cluster_id,
            cluster_id,
            moment,
            moment,
        )
        self._db.execute(
            "INSERT INTO deployment_specs (id, deployment_id, cluster_id, actor, data, dt_created)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            str(self._new_id()),
            deployment_id,
            cluster_id,
            self._actor,
            data,
            moment,
        )

        self._workloads.put_to_work(deployment_id)

    def _end_spec(self, deployment_id: str, moment: str) -> None:
        self._db.execute(
            "UPDATE deployment_specs SET dt_invalid = ? WHERE deployment_id = ? AND dt_invalid IS NULL",
            moment,
            deployment_id,
        )

    # Replies, kept so that a request that is sent again gets the answer that it got the first time

    def reply_to(self, key: bytes, request: bytes) -> bytes | None:
        """What was answered to the request with this idempotency key, if it was answered lately.

        Raises:
            Refusal: The key was used for another request.
        """
        self._db.execute("DELETE FROM replies WHERE dt_created < ?", iso(self._db.moment - _REPLIES_KEPT_FOR))
        kept = self._db.rows("SELECT * FROM replies WHERE idempotency_key = ?", key)
        if not kept:
            return None
        if kept[0]["request"] != request:
            raise Refusal(Code.BAD_USER_INPUT, "This Idempotency-Key was used for another request.")
        reply: bytes = kept[0]["reply"]
        return reply

    def keep_reply(self, key: bytes, request: bytes, reply: bytes) -> None:
        """Keeps an answer for as long as the request may be sent again."""
        self._db.execute(
            "INSERT INTO replies (idempotency_key, request, reply, dt_created) VALUES (?, ?, ?, ?)",
            key,
            request,
            reply,
            iso(self._db.moment),
        )


@contextmanager
def _names_are_unique(name: str, project_id: str) -> Generator[None]:
    """Says in words what the index on the names refuses."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        if "deployments.name" not in str(error):
            raise
        project = shorten(repr(project_id))
        message = f"There is a deployment named {name!r} in the project {project} already."
        raise Refusal(Code.CONFLICT, message, path="input.name") from error
