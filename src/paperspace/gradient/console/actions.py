"""Actions of the list and the editor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paperspace.gradient.console.spec_text import as_command, as_python, parse_text, problems_of, text_of
from paperspace.gradient.errors import InvalidSpecError

if TYPE_CHECKING:
    from paperspace.gradient.client import AsyncClient
    from paperspace.gradient.console.calls import Action, Arguments


async def _check(client: AsyncClient, arguments: Arguments) -> dict[str, Any]:  # noqa: ARG001  # it sends nothing
    """Check a text: return its problems, and the name and the project that it sets."""
    try:
        file = parse_text(arguments.text("text"))
    except InvalidSpecError as error:
        return {"problems": problems_of(error)}
    return {"problems": [], "name": file.name, "projectId": file.project_id}


async def _plan(client: AsyncClient, arguments: Arguments) -> dict[str, Any]:
    """Return what applying a text would do, and the same as a command and in Python."""
    return await _apply(client, arguments, dry_run=True)


async def _apply_text(client: AsyncClient, arguments: Arguments) -> dict[str, Any]:
    """Apply a text."""
    return await _apply(client, arguments, dry_run=False)


async def _apply(client: AsyncClient, arguments: Arguments, *, dry_run: bool) -> dict[str, Any]:
    text, name, project_id = (arguments.text(argument) for argument in ("text", "name", "projectId"))
    spec = parse_text(text).spec
    applied = await client.deployments.apply_deployment(name, project_id, spec, dry_run=dry_run)
    return {
        **applied,
        "command": as_command(text, name, project_id),
        "python": as_python(spec, name, project_id),
    }


async def _get_text(client: AsyncClient, arguments: Arguments) -> dict[str, Any]:
    """Return a deployment as the editor shows it."""
    status = await client.deployments.get_deployment_status(arguments["id"])
    spec = await client.deployments.get_deployment_spec(arguments["id"])
    return {"name": status["name"], "projectId": status["projectId"], "text": text_of(spec)}


ACTIONS: dict[str, Action] = {
    "check-spec": _check,
    "plan": _plan,
    "apply": _apply_text,
    "get-text": _get_text,
}
