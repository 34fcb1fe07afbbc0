"""What the shell completes from the server: quick, or nothing; and never a word about an error."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from paperspace.gradient.cli._client import deployments

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

    from paperspace.gradient.types import Deployment

# Nobody waits longer for a completion.
_TIMEOUT = 1.5
_MOST = 100


def complete_id(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001  # as click has it
    """The ids of deployments that begin like this, with their names as explanations."""
    from click.shell_completion import CompletionItem

    return [
        CompletionItem(deployment["id"], help=deployment["name"])
        for deployment in _newest(context)
        if deployment["id"].startswith(incomplete.lower())
    ]


def complete_name(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001  # the same
    """The names of deployments that begin like this; none that would have to be quoted, as bash does not do it."""
    names = [deployment["name"] for deployment in _newest(context)]
    return sorted({name for name in names if name.startswith(incomplete) and _needs_no_quotes(name)})


def _needs_no_quotes(name: str) -> bool:
    return all(c.isalnum() or c in "-_.,:/@%+=" for c in name)


def _newest(context: click.Context) -> list[Deployment]:
    with suppress(Exception), context.scope(cleanup=False), deployments(timeout=_TIMEOUT, max_retries=0) as calls:
        return calls.list_deployments(first=_MOST)
    return []
