"""The rollouts of a deployment, with their runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paperspace.gradient._core.pagination import iter_pages
from paperspace.gradient._generated.deployment_rollouts_with_instances import (
    DEPLOYMENT_ROLLOUTS_WITH_INSTANCES,
    DeploymentRolloutsWithInstancesVariables,
)
from paperspace.gradient._generated.deployment_runs import DEPLOYMENT_RUNS, DeploymentRunsVariables
from paperspace.gradient.deployments._queries import fetch_by_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from paperspace.gradient._core.pagination import Page
    from paperspace.gradient._core.session import Call, Session
    from paperspace.gradient._generated.deployment_rollout_fields import DeploymentRollout


def iter_rollout_pages(
    session: Session, id: str, call: Call | None = None, *, first_page: Page[Any] | None = None
) -> AsyncGenerator[list[Any]]:
    """Iterate over pages of the rollouts of a deployment, newest first.

    Args:
        session: The session to read them with.
        id: The id of the deployment.
        call: The call that the requests belong to. None: each is a call of its own.
        first_page: The first page, if the caller has it already.

    Raises:
        NotFoundError: No deployment has this id.
    """

    async def fetch(size: int, after: str | None) -> Page[Any]:
        variables = DeploymentRunsVariables(id=id, first=size, after=after)
        rollouts = (await fetch_by_id(session, DEPLOYMENT_RUNS, variables, call=call))["deploymentRollouts"]
        return rollouts["nodes"], rollouts["pageInfo"]

    return iter_pages(fetch, operation=DEPLOYMENT_RUNS.name, first_page=first_page)


async def rollouts_with_instances(session: Session, call: Call | None, id: str) -> list[DeploymentRollout]:
    """Return the newest rollouts with an instance that is not removed, however many rollouts a deployment has.

    Raises:
        BadRequestError: The server cannot filter rollouts.
        NotFoundError: No deployment has this id.
    """
    variables = DeploymentRolloutsWithInstancesVariables(id=id)
    deployment = await fetch_by_id(session, DEPLOYMENT_ROLLOUTS_WITH_INSTANCES, variables, call=call)
    return deployment["deploymentRollouts"]["nodes"]
