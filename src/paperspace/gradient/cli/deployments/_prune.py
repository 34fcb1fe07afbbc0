"""Deployments that no spec file describes: find, show and delete them, for `apply --prune`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from paperspace.gradient._shared.spec_rules import normalize_name
from paperspace.gradient.cli._output import print_message
from paperspace.gradient.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paperspace.gradient.client import Client


def find(client: Client, project_id: str, names: Iterable[str]) -> dict[str, str]:
    """Return the names of the deployments in a project that have none of these names, by id."""
    kept = {normalize_name(name) for name in names}
    deployments = client.deployments.list_deployments(project_id=project_id, first=None)
    return {
        deployment["id"]: deployment["name"]
        for deployment in deployments
        if normalize_name(deployment["name"]) not in kept
    }


def confirm(superfluous: dict[str, str], *, yes: bool) -> bool:
    """Show the deployments to delete, and return whether the user agrees."""
    print_message("\n".join(["Deployments that no file describes:", *(f"  {n}  {i}" for i, n in superfluous.items())]))
    if yes or click.confirm("Apply the files and delete these deployments?", err=True):
        return True
    print_message("Nothing was applied or deleted.")
    return False


def delete(client: Client, id_: str) -> None:
    """Delete a deployment. One that no longer exists is no error."""
    with suppress(NotFoundError):
        client.deployments.delete_deployment(id_)
