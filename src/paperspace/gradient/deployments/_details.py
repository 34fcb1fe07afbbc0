"""A deployment with everything that `gradient deployments get` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paperspace.gradient._core.pagination import iter_pages
from paperspace.gradient._generated.deployment_details import DEPLOYMENT_DETAILS, DeploymentDetailsVariables
from paperspace.gradient.deployments._queries import fetch_by_id, parse_time
from paperspace.gradient.deployments._revisions import set_fields
from paperspace.gradient.deployments._rollouts import iter_rollout_pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from paperspace.gradient._core.pagination import Page
    from paperspace.gradient._core.session import Session
    from paperspace.gradient._generated.deployment_details import Deployment
    from paperspace.gradient._generated.deployment_runs import DeploymentRollout, DeploymentRun
    from paperspace.gradient._generated.deployment_spec_details_fields import DeploymentSpec


async def fetch_details(session: Session, id: str) -> dict[str, Any]:
    """Fetch a deployment with all its revisions: their complete specs, clusters and runs.

    Raises:
        NotFoundError: No deployment has this id.
    """
    deployment: Deployment | None = None

    async def fetch_specs(size: int, after: str | None) -> Page[DeploymentSpec]:
        nonlocal deployment
        variables = DeploymentDetailsVariables(id=id, first=size, after=after)
        fetched = await fetch_by_id(session, DEPLOYMENT_DETAILS, variables)
        deployment = deployment or fetched
        return fetched["deploymentSpecs"]["nodes"], fetched["deploymentSpecs"]["pageInfo"]

    # The rollouts first: one of a spec that is created in between would count as that of the spec before.
    rollouts = [rollout async for page in iter_rollout_pages(session, id) for rollout in page]
    specs = [spec async for page in iter_pages(fetch_specs, operation=DEPLOYMENT_DETAILS.name) for spec in page]
    nodes = [
        {**spec, "data": set_fields(DEPLOYMENT_DETAILS, spec["data"]), "deploymentRuns": {"nodes": runs}}
        for spec, runs in zip(specs, runs_by_spec(specs, rollouts), strict=True)
    ]
    return {**(deployment or {}), "deploymentSpecs": {"nodes": nodes}}


def runs_by_spec(
    specs: Sequence[DeploymentSpec], rollouts: Sequence[DeploymentRollout]
) -> Iterator[list[DeploymentRun]]:
    """Yield the runs of each spec. Specs, rollouts and runs are newest first.

    A rollout does not name its spec: it is that of the newest spec that is not newer. Of the rollouts that are as old as
    a spec, only the first is its own; those behind it are of specs that were created at the same time.
    """
    position = 0
    for spec in specs:
        created, start = parse_time(spec["dtCreated"]), position
        while position < len(rollouts):
            rolled_out = parse_time(rollouts[position]["dtCreated"])
            if rolled_out < created or (rolled_out == created and position > start):
                break
            position += 1
        connections = (rollout["deploymentRuns"] for rollout in rollouts[start:position])
        yield [run for connection in connections if connection for run in connection["nodes"]]
