"""Actions of the list and the editor."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.event_loops import new_event_loop
from paperspace.gradient.console.spec_text import as_command, as_python, parse_text, problems_of, text_of
from paperspace.gradient.console.turns import Turns
from paperspace.gradient.errors import ConflictError, InvalidSpecError

if TYPE_CHECKING:
    from paperspace.gradient.client import AsyncClient
    from paperspace.gradient.console.calls import Action, Arguments
    from paperspace.gradient.types import AppliedDeployment, PlannedDeployment

# What compares a text also waits for the API, which may not respond: checks do not wait for that.
_texts, _comparisons = Turns(), Turns()


async def _check(client: AsyncClient, arguments: Arguments) -> dict[str, Any]:  # noqa: ARG001  # it sends nothing
    """Check a text: return its problems, and the name and the project that it sets."""
    try:
        file = await _texts.run(parse_text, arguments.text("text"))
    except InvalidSpecError as error:
        return {"problems": problems_of(error)}
    return {"problems": [], "name": file.name, "projectId": file.project_id}


async def _plan(client: AsyncClient, arguments: Arguments) -> dict[str, Any]:
    """Return what applying a text would do, and the same as a command and in Python."""
    return await _apply(client, arguments, None)


async def _apply_text(client: AsyncClient, arguments: Arguments) -> dict[str, Any]:
    """Apply a text, if `id` and `specId` are still those of the plan: nothing is replaced that the page has not shown."""
    return await _apply(client, arguments, (arguments["id"], arguments["specId"]))


async def _apply(client: AsyncClient, arguments: Arguments, shown: tuple[Any, Any] | None) -> dict[str, Any]:
    text, name, project_id = (arguments.text(argument) for argument in ("text", "name", "projectId"))
    return await _comparisons.run(_apply_in_thread, client, text, name, project_id, shown)


def _apply_in_thread(
    client: AsyncClient, text: str, name: str, project_id: str, shown: tuple[Any, Any] | None
) -> dict[str, Any]:
    """Parse, validate, compare and apply a text, with an event loop of its own: all of this may take long.

    Args:
        client: The client.
        text: The text.
        name: The name of the deployment.
        project_id: Its project.
        shown: The ids of the deployment and its newest spec in the plan that is to be applied. None: nothing is applied.
    """
    spec = parse_text(text).spec
    apply = client.deployments.apply_deployment
    applied: AppliedDeployment | PlannedDeployment
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        applied = runner.run(apply(name, project_id, spec, dry_run=True))
        if shown is not None:
            if shown != (applied["id"], applied["specId"]):
                message = f"nothing was applied: {name} was changed, created or deleted in the meantime"
                raise ConflictError(f"{message}; check what the text changes now, and apply it again")
            applied = runner.run(apply(name, project_id, spec))
    return {
        **applied,
        "command": as_command(text, name, project_id),
        "python": as_python(spec, name, project_id),
    }


async def _get_text(client: AsyncClient, arguments: Arguments) -> dict[str, Any]:
    """Return a deployment as the editor shows it."""
    status = await client.deployments.get_deployment_status(arguments["id"])
    spec = await client.deployments.get_deployment_spec(arguments["id"])
    return {"name": status["name"], "projectId": status["projectId"], "text": await _texts.run(text_of, spec)}


ACTIONS: dict[str, Action] = {
    "check-spec": _check,
    "plan": _plan,
    "apply": _apply_text,
    "get-text": _get_text,
}
