"""Delete deployments one after the other, and print what was done, for `delete`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paperspace.gradient.cli._output import data_text, print_change
from paperspace.gradient.cli.deployments._options import NOT_FOUND, print_result
from paperspace.gradient.errors import NotFoundError

if TYPE_CHECKING:
    from paperspace.gradient.cli.deployments._target import Target
    from paperspace.gradient.client import Client
    from paperspace.gradient.types import DeploymentRef


class Deleter:
    """Deletes deployments one after the other, and prints what it does. One that does not exist does not stop it."""

    def __init__(self, client: Client, output: str | None, *, as_list: bool) -> None:
        self._client = client
        self._output = output
        self._is_data = output in {"json", "yaml"}
        self._as_list = as_list
        self._deleted: list[DeploymentRef] = []
        self._not_found: list[NotFoundError] = []

    def find(self, targets: list[Target], project_id: str | None) -> list[str]:
        """Return the ids of the deployments that exist, each once."""
        ids: dict[str, None] = {}
        for target in targets:
            try:
                id_ = target.find(self._client, project_id)
            except NotFoundError as error:
                self._report(error)
            else:
                ids[id_] = None
        return list(ids)

    def delete(self, ids: list[str]) -> None:
        """Delete deployments.

        Raises:
            NotFoundError: One of them, or of those that `find` was called with, does not exist.
        """
        try:
            for id_ in ids:
                self._delete(id_)
        finally:
            if self._is_data:
                for data in [self._deleted] if self._as_list else self._deleted:
                    print_change(data_text(data, self._output or "json"))
        if self._not_found:
            raise _combine(self._not_found)

    def _delete(self, id: str) -> None:
        try:
            deleted = self._client.deployments.delete_deployment(id)
        except NotFoundError as error:
            self._report(error)
            return
        self._deleted.append(deleted)
        if not self._is_data:
            print_result("Deleted", deleted, self._output)

    def _report(self, error: NotFoundError) -> None:
        self._not_found.append(error)
        if self._output is None:
            print_change(NOT_FOUND)


def _combine(not_found: list[NotFoundError]) -> NotFoundError:
    """Return one error for several. A single error is returned unchanged."""
    if len(not_found) == 1:
        return not_found[0]
    return NotFoundError("; ".join(str(error.args[0]) for error in not_found))
