"""What pins the containers of a revision: they run the same image and get the same commits, also if a tag or a branch changes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from paperspace.gradient.server.engines.reasons import Reason
from paperspace.gradient.server.engines.runtime import InstanceNoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperspace.gradient.server.controller.engine import ContainerKey, Image
    from paperspace.gradient.server.engines.workloads import Workloads
    from paperspace.gradient.server.storage.database import Database

_SHOWN = 12  # characters of a commit


class Pins:
    """Store what was resolved for a template. It stays the same for all later containers. Methods run in a transaction.

    Args:
        database: The database.
        workloads: Stores events.
    """

    def __init__(self, database: Database, workloads: Workloads) -> None:
        self._db = database
        self._workloads = workloads

    def image(self, key: ContainerKey, image: Image, notes: Sequence[str]) -> None:
        """Store the image of a template, unless it has one.

        Args:
            key: The first container with the template.
            image: Its image.
            notes: What the engine reduces, as `Engine.check` returns it.
        """
        if self._pin("images", "image_id", key, image.id):
            why = f" {image.note}" if image.note else ""
            self._note(key, Reason.PULLED, f"The containers of this revision run {image.id}.{why}")
            for note in notes:
                self._note(key, Reason.LIMITS_REDUCED, note)

    def commits(self, key: ContainerKey, names: Sequence[str], commits: tuple[str, ...]) -> None:
        """Store the commits of the repositories of a template, unless it has some.

        Args:
            key: The first container with the template.
            names: The names of the repositories.
            commits: Their commits, in the same order.
        """
        if self._pin("repository_commits", "commits", key, json.dumps(commits)):
            for name, commit in zip(names, commits, strict=True):
                self._note(
                    key, Reason.CLONED, f"The containers of this revision have commit {commit[:_SHOWN]} of {name}."
                )

    def commits_in_use(self) -> frozenset[str]:
        """Return the commits that the containers of all instances have or will have."""
        rows = self._db.rows(
            "SELECT DISTINCT commits FROM instances JOIN repository_commits USING (deployment_id, template)"
            " WHERE dt_deleted IS NULL"
        )
        return frozenset(commit for row in rows for commit in json.loads(row["commits"]))

    def _pin(self, table: str, column: str, key: ContainerKey, value: str) -> bool:
        """Store the value of a template. Return False if it has one already."""
        query = f"SELECT 1 FROM {table} WHERE deployment_id = ? AND template = ?"  # noqa: S608
        if self._db.rows(query, key.deployment_id, key.template):
            return False
        self._db.insert(table, [{"deployment_id": key.deployment_id, "template": key.template, column: value}])
        return True

    def _note(self, key: ContainerKey, reason: Reason, message: str) -> None:
        self._workloads.record([InstanceNoted(key.instance_id, self._db.transaction_time, reason, message)])
