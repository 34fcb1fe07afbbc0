"""Shell completion of ids and names from the server. It is quick, and silent about errors."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from paperspace.gradient.cli._client import connect

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

    from paperspace.gradient.types import Deployment

TIMEOUT = 1.5
_MAX_DEPLOYMENTS = 100


def complete_id(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001  # click's signature
    """Return the ids of deployments that begin with the text, with their names as descriptions."""
    from click.shell_completion import CompletionItem

    return [
        CompletionItem(deployment["id"], help=deployment["name"])
        for deployment in _newest_deployments(context)
        if deployment["id"].startswith(incomplete.lower())
    ]


def complete_name(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001  # the same
    """Return the names of deployments that begin with the text, without names that need quotes: bash adds none."""
    names = [deployment["name"] for deployment in _newest_deployments(context)]
    return sorted({name for name in names if name.startswith(incomplete) and _needs_no_quotes(name)})


def complete_id_or_name(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001  # the same
    """Return the names and the ids of deployments that begin with the text."""
    from click.shell_completion import CompletionItem

    items = []
    for deployment in _newest_deployments(context):
        if deployment["name"].startswith(incomplete) and _needs_no_quotes(deployment["name"]):
            items.append(CompletionItem(deployment["name"]))
        if deployment["id"].startswith(incomplete.lower()):
            items.append(CompletionItem(deployment["id"], help=deployment["name"]))
    return items


def _needs_no_quotes(name: str) -> bool:
    return all(c.isalnum() or c in "-_.,:/@%+=" for c in name)


def _newest_deployments(context: click.Context) -> list[Deployment]:
    with suppress(Exception), context.scope(cleanup=False), connect(timeout=TIMEOUT, max_retries=0) as client:
        return client.deployments.list_deployments(first=_MAX_DEPLOYMENTS)
    return []
