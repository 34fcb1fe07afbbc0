"""Pages of the deployments on a cluster. From the second page on, the server filters them if it can."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from paperspace.gradient._core.pagination import is_page_too_large
from paperspace.gradient._generated.deployment_statuses_on_cluster import (
    DEPLOYMENT_STATUSES_ON_CLUSTER,
    DeploymentStatusesOnClusterVariables,
)
from paperspace.gradient._generated.deployments_on_cluster import DEPLOYMENTS_ON_CLUSTER, DeploymentsOnClusterVariables
from paperspace.gradient.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from paperspace.gradient._core.pagination import FetchPage, Page
    from paperspace.gradient._core.session import Session
    from paperspace.gradient._generated.deployment_fields import Deployment
    from paperspace.gradient._generated.deployment_statuses_on_cluster import Deployment as DeploymentStatus
    from paperspace.gradient._generated.deployment_statuses_on_cluster import DeploymentStatusesOnClusterResult

N = TypeVar("N")


def filtered_by_server(fetch_any: FetchPage[N], fetch_on_cluster: FetchPage[N]) -> FetchPage[N]:
    """Return a function that fetches the first page with `fetch_any`, and the others with `fetch_on_cluster`.

    One page is often the whole list. A server that rejects the filter, as the hosted one does, gets `fetch_any` again.
    """
    can_filter = True

    async def fetch(size: int, after: str | None) -> Page[N]:
        nonlocal can_filter
        if after is not None and can_filter:
            try:
                return await fetch_on_cluster(size, after)
            except BadRequestError as error:
                if is_page_too_large(error):
                    raise
                can_filter = False
        return await fetch_any(size, after)

    return fetch


def deployments(
    session: Session, name: str | None, project_id: str | None, cluster_id: str
) -> Callable[[int, str | None, int], Awaitable[Page[Deployment]]]:
    """Return a function that fetches a page of the deployments with a spec on a cluster, of each so many of these specs."""

    async def fetch(size: int, after: str | None, specs: int) -> Page[Deployment]:
        variables = DeploymentsOnClusterVariables(
            name=name, projectId=project_id, clusterId=cluster_id, first=size, after=after, specsFirst=specs
        )
        result = await session.run(DEPLOYMENTS_ON_CLUSTER, variables)
        return result["deployments"]["nodes"], result["deployments"]["pageInfo"]

    return fetch


def statuses(
    session: Session,
    name: str | None,
    project_id: str | None,
    cluster_id: str,
    verify: Callable[[DeploymentStatusesOnClusterResult], str | None],
) -> Callable[[int, str | None, int], Awaitable[Page[DeploymentStatus]]]:
    """Return a function that fetches a page of the statuses of the deployments with a spec on a cluster, of each so many instances.

    `verify` returns what is wrong with a result, if anything.
    """

    async def fetch(size: int, after: str | None, instances: int) -> Page[DeploymentStatus]:
        variables = DeploymentStatusesOnClusterVariables(
            name=name, projectId=project_id, clusterId=cluster_id, first=size, after=after, instancesFirst=instances
        )
        result = await session.run(DEPLOYMENT_STATUSES_ON_CLUSTER, variables, verify=verify)
        return result["deployments"]["nodes"], result["deployments"]["pageInfo"]

    return fetch
