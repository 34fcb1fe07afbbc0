"""The rollouts of a deployment, with their runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paperspace.gradient._core.pagination import iter_pages
from paperspace.gradient._generated.deployment_rollouts_with_instances import (
    DEPLOYMENT_ROLLOUTS_WITH_INSTANCES,
    DeploymentRolloutsWithInstancesVariables,
)
from paperspace.gradient._generated.deployment_runs import DEPLOYMENT_RUNS, DeploymentRunsVariables
from paperspace.gradient.deployments._errors import deployment_not_found
from paperspace.gradient.deployments._queries import verify_same_deployment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from paperspace.gradient._core.pagination import Page
    from paperspace.gradient._core.session import Session
    from paperspace.gradient._generated.deployment_rollout_fields import DeploymentRollout


def iter_rollout_pages(session: Session, id: str, *, first_page: Page[Any] | None = None) -> AsyncGenerator[list[Any]]:
    """Iterate over pages of the rollouts of a deployment, newest first.

    Args:
        session: The session to read them with.
        id: The id of the deployment.
        first_page: The first page, if the caller has it already.

    Raises:
        NotFoundError: No deployment has this id.
    """

    async def fetch(size: int, after: str | None) -> Page[Any]:
        result = await session.run(
            DEPLOYMENT_RUNS,
            DeploymentRunsVariables(id=id, first=size, after=after),
            verify=lambda result: verify_same_deployment(id, result["deployment"]),
        )
        if result["deployment"] is None:
            raise deployment_not_found(id, DEPLOYMENT_RUNS.name)
        rollouts = result["deployment"]["deploymentRollouts"]
        return rollouts["nodes"], rollouts["pageInfo"]

    return iter_pages(fetch, operation=DEPLOYMENT_RUNS.name, first_page=first_page)


async def rollouts_with_instances(session: Session, id: str) -> list[DeploymentRollout]:
    """Return the newest rollouts with an instance that is not removed, however many rollouts a deployment has.

    Raises:
        BadRequestError: The server cannot filter rollouts.
        NotFoundError: No deployment has this id.
    """
    result = await session.run(
        DEPLOYMENT_ROLLOUTS_WITH_INSTANCES,
        DeploymentRolloutsWithInstancesVariables(id=id),
        verify=lambda result: verify_same_deployment(id, result["deployment"]),
    )
    if result["deployment"] is None:
        raise deployment_not_found(id, DEPLOYMENT_ROLLOUTS_WITH_INSTANCES.name)
    return result["deployment"]["deploymentRollouts"]["nodes"]
