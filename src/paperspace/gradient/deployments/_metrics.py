"""The metrics of deployments: what they used, and which requests they got."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from paperspace.gradient._core.pagination import iter_pages
from paperspace.gradient._generated.deployment_metrics import DEPLOYMENT_METRICS, DeploymentMetricsVariables
from paperspace.gradient._generated.deployments_metrics import DEPLOYMENTS_METRICS, DeploymentsMetricsVariables
from paperspace.gradient.deployments._errors import naming_what_is_missing
from paperspace.gradient.deployments._queries import fetch_by_id, start_of

if TYPE_CHECKING:
    from datetime import datetime

    from paperspace.gradient._core.pagination import Page
    from paperspace.gradient._core.session import Call, Session
    from paperspace.gradient._generated.deployment_metrics import Deployment
    from paperspace.gradient._generated.deployments_metrics import Deployment as ListedDeployment
    from paperspace.gradient.types import DeploymentMetrics

# How much the clocks of client and server may differ: the time between two points.
_CLOCK_TOLERANCE = timedelta(seconds=10)


async def list_metrics(
    session: Session, call: Call, id: str, since: datetime | timedelta | None, step: int | None
) -> list[DeploymentMetrics]:
    """Return the metrics of a deployment, oldest first. All requests belong to the call.

    Raises:
        NotFoundError: No deployment has this id.
        BadRequestError: The server has no metrics.
    """
    variables = DeploymentMetricsVariables(id=id, step=step)
    if since is not None:
        variables["since"] = start_of(since, session).isoformat()
    known = session.clock_difference
    found = await _fetch(session, variables, call)
    if isinstance(since, timedelta) and abs(session.clock_difference - known) > _CLOCK_TOLERANCE:
        # The clock of the server, from which the duration counts back, is known only now.
        variables["since"] = start_of(since, session).isoformat()
        found = await _fetch(session, variables, call)
    return found["metrics"]


async def latest_metrics(session: Session, id: str | None, project_id: str | None) -> list[ListedDeployment]:
    """Return deployments with the newest point of their metrics, newest deployment first.

    Args:
        session: The session to read them with.
        id: Only the deployment with this id. None: all.
        project_id: Only deployments of this project. None: any project.

    Raises:
        NotFoundError: No deployment has this id.
        BadRequestError: The server has no metrics.
    """
    if id is not None:
        return [await _fetch(session, DeploymentMetricsVariables(id=id, last=1))]

    async def fetch(size: int, after: str | None) -> Page[ListedDeployment]:
        variables = DeploymentsMetricsVariables(projectId=project_id, first=size, after=after)
        with naming_what_is_missing("metrics"):
            result = await session.run(DEPLOYMENTS_METRICS, variables)
        return result["deployments"]["nodes"], result["deployments"]["pageInfo"]

    return [node async for page in iter_pages(fetch, operation=DEPLOYMENTS_METRICS.name) for node in page]


async def _fetch(session: Session, variables: DeploymentMetricsVariables, call: Call | None = None) -> Deployment:
    with naming_what_is_missing("metrics"):
        return await fetch_by_id(session, DEPLOYMENT_METRICS, variables, call=call)
