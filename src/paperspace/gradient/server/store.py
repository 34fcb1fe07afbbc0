"""The rows of the API, in SQLite: everything that knows SQL, apart from the tables themselves.

A store belongs to one thread. Whoever calls it has begun a transaction by `reading` or `writing`.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from paperspace.gradient._base.codes import Code
from paperspace.gradient._base.rules import shorten

from .clock import iso
from .migrations import open_database
from .refusals import Refusal
from .rows import Batch, Row

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from .pages import Page, Window

DEFAULT_CLUSTER = "local"
_REPLIES_KEPT_FOR = timedelta(hours=24)


class Store:
    """Reads and changes deployments and what belongs to them. `actor` is the full name of who makes the specs."""

    def __init__(
        self, database: str | Path, *, actor: str, now: Callable[[], datetime], new_id: Callable[[], uuid.UUID]
    ) -> None:
        self._db = open_database(database)
        self._actor = actor
        self._now = now
        self._new_id = new_id

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()

    @contextmanager
    def reading(self) -> Generator[None]:
        """A transaction that sees one state of the database, whatever happens meanwhile."""
        with self._db:
            self._db.execute("BEGIN")
            yield

    @contextmanager
    def writing(self) -> Generator[None]:
        """A transaction that is committed at its end, or undone by an exception or by `undo`."""
        with self._db:
            # The lock is taken at once: one that is taken at the first change may be refused halfway.
            self._db.execute("BEGIN IMMEDIATE")
            yield

    def undo(self) -> None:
        """Takes back all changes of the transaction."""
        self._db.rollback()

    # Deployments

    def deployments(self, window: Window, *, name: str | None, project_id: str | None) -> Page:
        """A page of the deployments that are not deleted and meet the given conditions."""
        conditions = "dt_deleted IS NULL"
        if name is not None:
            conditions += " AND name = :name"
        if project_id is not None:
            conditions += " AND project_id = :project_id"
        return self._page("deployments", conditions, window, name=name, project_id=project_id)

    def deployments_by_id(self, ids: Sequence[str]) -> dict[str, Row]:
        """Those of the deployments that exist and are not deleted."""
        return self._by_id("SELECT * FROM deployments WHERE dt_deleted IS NULL AND id", ids)

    def create_deployment(self, *, name: str, project_id: str, cluster_id: str | None, data: Mapping[str, Any]) -> Row:
        """A new deployment with its first spec.

        Raises:
            Refusal: The name is taken.
        """
        moment = iso(self._now())
        id_ = str(self._new_id())
        with _names_are_unique(name, project_id):
            self._db.execute(
                "INSERT INTO deployments (id, project_id, name, dt_created) VALUES (?, ?, ?, ?)",
                (id_, project_id, name, moment),
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
        moment = iso(self._now())
        deployment = self._existing(id_)
        new_name = deployment["name"] if name is None else name
        new_project = deployment["projectId"] if project_id is None else project_id
        with _names_are_unique(new_name, new_project):
            self._db.execute(
                "UPDATE deployments SET name = ?, project_id = ?, dt_modified = ? WHERE id = ?",
                (new_name, new_project, moment, id_),
            )
        spec = self._rows("SELECT * FROM deployment_specs WHERE deployment_id = ? ORDER BY seq DESC LIMIT 1", [id_])[0]
        if data is not None or cluster_id not in (None, spec["clusterId"]):
            data_text = spec["data"] if data is None else json.dumps(data)
            self._add_spec(id_, spec["clusterId"] if cluster_id is None else cluster_id, data_text, moment)
        return self._existing(id_)

    def delete_deployment(self, id_: str) -> Row:
        """The deployment as it was before it was marked as deleted.

        Raises:
            Refusal: There is none with this id.
        """
        moment = iso(self._now())
        deployment = self._existing(id_)
        self._db.execute("UPDATE deployments SET dt_deleted = ? WHERE id = ?", (moment, id_))
        self._end_spec(id_, moment)
        return deployment

    def _existing(self, id_: str) -> Row:
        deployment = self.deployments_by_id([id_]).get(id_)
        if deployment is None:
            raise Refusal(Code.NOT_FOUND, f"There is no deployment with the id {id_}.", path="input.id")
        return deployment

    # Specs and clusters

    def specs(self, deployment_ids: Sequence[str], window: Window, *, cluster_id: str | None) -> dict[str, Page]:
        """For each of the deployments, a page of its specs; only of those on the given cluster, if there is one."""
        conditions = "deployment_id = parent.value"
        if cluster_id is not None:
            conditions += " AND cluster_id = :cluster_id"
        return self._pages(
            "deployment_specs", conditions, window, parents=deployment_ids, of="deploymentId", cluster_id=cluster_id
        )

    def clusters_by_id(self, ids: Sequence[str]) -> dict[str, Row]:
        """Those of the clusters that are known."""
        return self._by_id("SELECT * FROM clusters WHERE id", ids)

    def _add_spec(self, deployment_id: str, cluster_id: str, data: str, moment: str) -> None:
        self._end_spec(deployment_id, moment)
        self._db.execute(
            "INSERT INTO clusters (id, name, dt_created, dt_modified) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (cluster_id, cluster_id, moment, moment),
        )
        self._db.execute(
            "INSERT INTO deployment_specs (id, deployment_id, cluster_id, actor, data, dt_created)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (str(self._new_id()), deployment_id, cluster_id, self._actor, data, moment),
        )

    def _end_spec(self, deployment_id: str, moment: str) -> None:
        self._db.execute(
            "UPDATE deployment_specs SET dt_invalid = ? WHERE deployment_id = ? AND dt_invalid IS NULL",
            (moment, deployment_id),
        )

    # Replies, kept so that a request that is sent again gets the answer that it got the first time

    def reply_to(self, key: bytes, request: bytes) -> bytes | None:
        """What was answered to the request with this idempotency key, if it was answered lately.

        Raises:
            Refusal: The key was used for another request.
        """
        self._db.execute("DELETE FROM replies WHERE dt_created < ?", (iso(self._now() - _REPLIES_KEPT_FOR),))
        kept = self._rows("SELECT * FROM replies WHERE idempotency_key = ?", [key])
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
            (key, request, reply, iso(self._now())),
        )

    # How rows are fetched. Table names and conditions are written in this file; values are always parameters.

    def _rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[Row]:
        cursor = self._db.execute(sql, values)
        return Batch([column[0] for column in cursor.description], cursor).rows

    def _by_id(self, select: str, ids: Sequence[str]) -> dict[str, Row]:
        rows = self._rows(f"{select} IN ({', '.join('?' * len(ids))})", ids)
        return {row["id"]: row for row in rows}

    def _page(self, table: str, conditions: str, window: Window, **values: Any) -> Page:
        """A page of a list that has no parent: of the one list there is."""
        return self._pages(table, conditions, window, parents=[""], of=None, **values)[""]

    def _pages(
        self, table: str, conditions: str, window: Window, *, parents: Sequence[str], of: str | None, **values: Any
    ) -> dict[str, Page]:
        """For each parent, the page of the rows that meet the conditions; `of` is the field that names the parent.

        It takes one statement whatever the number of parents, and a second one if the window starts at a cursor.
        For each parent SQLite reads as many rows as the page has, however long the list is.
        """
        values |= {
            "parents": json.dumps(parents),
            "low": window.low,
            "high": window.high,
            "start": window.start,
            "limit": window.limit + 1,
        }
        direction = "DESC" if window.descending else "ASC"
        rows = self._rows(
            f"SELECT item.* FROM json_each(:parents) AS parent JOIN {table} AS item ON item.seq IN ("  # noqa: S608
            f"SELECT seq FROM {table} WHERE {conditions} AND seq > :low AND seq < :high"
            f" ORDER BY seq {direction} LIMIT :limit) ORDER BY item.seq {direction}",
            values,
        )
        fetched: defaultdict[str, list[Row]] = defaultdict(list)
        for row in rows:
            fetched[row[of] if of else ""].append(row)
        behind: set[str] = set()
        if window.start is not None:
            beyond = ">=" if window.descending else "<="
            found = self._db.execute(
                f"SELECT parent.value FROM json_each(:parents) AS parent WHERE EXISTS ("  # noqa: S608
                f"SELECT 1 FROM {table} WHERE {conditions} AND seq {beyond} :start)",
                values,
            )
            behind = {parent for (parent,) in found}
        return {parent: window.page(fetched[parent], more_behind_start=parent in behind) for parent in parents}


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
