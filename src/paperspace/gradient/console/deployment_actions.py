"""Actions of the page of one deployment."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from paperspace.gradient.console import playground
from paperspace.gradient.console.revisions import changes_between
from paperspace.gradient.errors import InvalidArgumentError

if TYPE_CHECKING:
    from paperspace.gradient.client import AsyncClient
    from paperspace.gradient.console.calls import Action, Arguments
    from paperspace.gradient.types import DeploymentMetrics, DeploymentRef, SpecChange


async def scale(client: AsyncClient, arguments: Arguments) -> DeploymentRef:
    """Change the number of replicas."""
    return await client.deployments.scale_deployment(arguments["id"], arguments["replicas"])


async def stop(client: AsyncClient, arguments: Arguments) -> DeploymentRef:
    """Stop the deployment."""
    return await client.deployments.stop_deployment(arguments["id"])


async def start(client: AsyncClient, arguments: Arguments) -> DeploymentRef:
    """Start the stopped deployment."""
    return await client.deployments.start_deployment(arguments["id"])


async def restart(client: AsyncClient, arguments: Arguments) -> DeploymentRef:
    """Start new replicas with the same spec."""
    return await client.deployments.restart_deployment(arguments["id"])


async def roll_back(client: AsyncClient, arguments: Arguments) -> DeploymentRef:
    """Restore the spec of an earlier revision."""
    return await client.deployments.rollback_deployment(arguments["id"], arguments["to"])


async def rollback_changes(client: AsyncClient, arguments: Arguments) -> list[SpecChange]:
    """Return what a rollback to a revision would change."""
    newest = None
    async with aclosing(client.deployments.iter_deployment_history(arguments["id"])) as history:
        async for revision in history:
            newest = newest or revision
            if revision["id"] == arguments["to"]:
                return changes_between(newest, revision)
    raise InvalidArgumentError(f"the deployment has no revision {arguments['to']}")


async def delete(client: AsyncClient, arguments: Arguments) -> DeploymentRef:
    """Delete the deployment, if the name that the user has typed is its name."""
    name = (await client.deployments.get_deployment_status(arguments["id"]))["name"]
    if arguments["name"] != name:
        raise InvalidArgumentError(f"nothing was deleted: the deployment has another name, {name!r}")
    return await client.deployments.delete_deployment(arguments["id"])


async def metrics(client: AsyncClient, arguments: Arguments) -> list[DeploymentMetrics]:
    """Return the metrics since a time."""
    return await client.deployments.get_deployment_metrics(arguments["id"], since=arguments["since"])


async def send_request(client: AsyncClient, arguments: Arguments) -> dict[str, Any]:
    """Send a request to the endpoint."""
    return await playground.send(await _request(client, arguments))


async def request_code(client: AsyncClient, arguments: Arguments) -> dict[str, str]:
    """Return the same request as a command of curl, and as Python."""
    request = await _request(client, arguments)
    return {"curl": playground.as_curl(request), "python": playground.as_python(request)}


async def _request(client: AsyncClient, arguments: Arguments) -> playground.EndpointRequest:
    status = await client.deployments.get_deployment_status(arguments["id"])
    return playground.build_request(status["endpointUrl"], arguments)


ACTIONS: dict[str, Action] = {
    "scale": scale,
    "stop": stop,
    "start": start,
    "restart": restart,
    "roll-back": roll_back,
    "rollback-changes": rollback_changes,
    "delete": delete,
    "metrics": metrics,
    "send-request": send_request,
    "request-code": request_code,
}
