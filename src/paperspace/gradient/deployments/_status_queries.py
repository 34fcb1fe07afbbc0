"""Queries for the status of a deployment, and for those of all deployments."""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from paperspace.gradient._core.pagination import MAX_PAGE, empty_page, fetch_fitting, iter_pages
from paperspace.gradient._generated.deployment_status import DEPLOYMENT_STATUS, DeploymentStatusVariables
from paperspace.gradient._generated.deployment_statuses import DEPLOYMENT_STATUSES, DeploymentStatusesVariables
from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.deployments._queries import fetch_by_id, same_text, verify_has_spec, with_smaller_parts
from paperspace.gradient.deployments._rollouts import iter_rollout_pages, rollouts_with_instances
from paperspace.gradient.deployments._status import newest_run, remaining_runs, status_of
from paperspace.gradient.errors import BadRequestError, NotFoundError

if TYPE_CHECKING:
    from paperspace.gradient._core.pagination import FetchPage, Page
    from paperspace.gradient._core.session import Call, Session
    from paperspace.gradient._generated.deployment_run_instance_fields import DeploymentRunInstance
    from paperspace.gradient._generated.deployment_status_fields import Deployment
    from paperspace.gradient._generated.deployment_statuses import Deployment as DeploymentNode
    from paperspace.gradient._generated.deployment_statuses import DeploymentStatusesResult
    from paperspace.gradient._generated.deployment_statuses_on_cluster import DeploymentStatusesOnClusterResult
    from paperspace.gradient.deployments import _on_cluster
    from paperspace.gradient.deployments._status import RemainingRun
    from paperspace.gradient.types import DeploymentStatus
else:
    [_on_cluster] = lazy_modules("paperspace.gradient.deployments", "_on_cluster")


async def deployment_status(session: Session, id: str, call: Call | None = None) -> DeploymentStatus:
    """Return the status of a deployment. All requests belong to the call. None: a call of its own.

    Raises:
        NotFoundError: No deployment has this id.
    """
    call = call or session.start()
    deployment, _ = await fetch_fitting(lambda size, _: _fetch_status(session, call, id, size), MAX_PAGE, None)
    return await _complete_status(session, call, deployment)


async def _fetch_status(
    session: Session, call: Call | None, id: str, size: int, after: str | None = None
) -> Deployment:
    """Fetch a deployment with one page of the instances of its newest run, newest first."""
    variables = DeploymentStatusVariables(id=id, instancesFirst=size, instancesAfter=after)
    return await fetch_by_id(session, DEPLOYMENT_STATUS, variables, call=call, require_spec=True)


async def _complete_status(session: Session, call: Call | None, deployment: Deployment) -> DeploymentStatus:
    """Return the status, reading further pages of instances and rollouts only while some may be missing.

    All requests belong to the call. None: each is a call of its own, as in a list.
    """
    instances = await _instances(session, call, deployment)
    rollouts = deployment["deploymentRollouts"]
    remaining = remaining_runs(rollouts["nodes"])
    status = status_of(deployment, instances, remaining)
    stops = status["replicas"] == 0 and not remaining
    nothing_serves = status["state"] in {"pending", "failed"} and status["serving"] is None
    if rollouts["pageInfo"]["hasNextPage"] and (stops or nothing_serves):
        status = status_of(deployment, instances, await _all_remaining_runs(session, call, deployment))
    return status


async def _all_remaining_runs(session: Session, call: Call | None, deployment: Deployment) -> list[RemainingRun]:
    """Return the runs that have not ended, in the whole history of a deployment: earlier runs serve until they are replaced."""
    with suppress(
        BadRequestError
    ):  # a server without this filter, as the hosted one: pages are read until a run serves
        return remaining_runs(await rollouts_with_instances(session, call, deployment["id"]))
    first_page = deployment["deploymentRollouts"]["nodes"], deployment["deploymentRollouts"]["pageInfo"]
    remaining: list[RemainingRun] = []
    async with aclosing(iter_rollout_pages(session, deployment["id"], call, first_page=first_page)) as pages:
        async for page in pages:
            remaining += remaining_runs(page)
            if any(run.ready_replicas for run in remaining):
                break
    return remaining


async def _instances(session: Session, call: Call | None, deployment: Deployment) -> list[DeploymentRunInstance]:
    """Return the instances of the newest run that are not deleted, oldest first."""
    run = newest_run(deployment)
    if run is None or run["deploymentRunInstances"] is None:
        return []

    async def fetch(size: int, after: str | None) -> Page[DeploymentRunInstance]:
        current_run = newest_run(await _fetch_status(session, call, deployment["id"], size, after))
        if current_run is None or current_run["id"] != run["id"] or current_run["deploymentRunInstances"] is None:
            return empty_page()  # a newer spec has replaced the run; the next poll sees it
        return current_run["deploymentRunInstances"]["nodes"], current_run["deploymentRunInstances"]["pageInfo"]

    first_page = run["deploymentRunInstances"]["nodes"], run["deploymentRunInstances"]["pageInfo"]
    instances: list[DeploymentRunInstance] = []
    async with aclosing(iter_pages(fetch, operation=DEPLOYMENT_STATUS.name, first_page=first_page)) as pages:
        async for page in pages:
            instances += [instance for instance in page if instance["dtDeleted"] is None]
            if len(instances) >= (run["replicas"] or 0):
                break
    return instances[::-1]


async def deployment_statuses(
    session: Session, name: str | None, project_id: str | None, cluster_id: str | None, first: int | None
) -> list[DeploymentStatus]:
    """Return the statuses of the deployments that match the filters, newest first; `first` at most."""
    statuses: list[DeploymentStatus] = []
    if first == 0:
        return statuses

    def verify(result: DeploymentStatusesResult | DeploymentStatusesOnClusterResult) -> str | None:
        return verify_has_spec(*result["deployments"]["nodes"])

    async def fetch(size: int, after: str | None, instances: int) -> Page[DeploymentNode]:
        variables: DeploymentStatusesVariables = {"name": name, "projectId": project_id, "clusterId": cluster_id}
        variables |= {"first": size, "after": after, "instancesFirst": instances}
        result = await session.run(DEPLOYMENT_STATUSES, variables, verify=verify)
        return result["deployments"]["nodes"], result["deployments"]["pageInfo"]

    fetch_page: FetchPage[DeploymentNode] = with_smaller_parts(fetch)
    if cluster_id is not None:
        on_cluster = _on_cluster.statuses(session, name, project_id, cluster_id, verify)
        fetch_page = _on_cluster.filtered_by_server(fetch_page, with_smaller_parts(on_cluster))
    filtered = name is not None or cluster_id is not None
    limit = None if filtered else first
    async with aclosing(iter_pages(fetch_page, operation=DEPLOYMENT_STATUSES.name, limit=limit)) as pages:
        async for page in pages:
            for node in page:
                if (name is None or same_text(node["name"], name)) and node["onCluster"]["nodes"]:
                    with suppress(NotFoundError):  # it was deleted in the meantime
                        statuses.append(await _complete_status(session, None, node))
            if first is not None and len(statuses) >= first:
                break
    return statuses[:first]
