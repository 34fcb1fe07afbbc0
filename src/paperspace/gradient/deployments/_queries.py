"""The lookups that several functions share: pages of deployments, one deployment, all its specs."""

from __future__ import annotations

import unicodedata
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from paperspace.gradient._core.pagination import MAX_PAGE, walk
from paperspace.gradient._generated.deployment import DEPLOYMENT, DeploymentVariables
from paperspace.gradient._generated.deployments import DEPLOYMENTS, DeploymentsVariables
from paperspace.gradient.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from typing import Any, Literal

    from paperspace.gradient._core.pagination import Page
    from paperspace.gradient._core.session import Call, Session
    from paperspace.gradient._generated.deployment_fields import Deployment as DeploymentPage
    from paperspace.gradient.types import Deployment, DeploymentSpec


class _GoneError(Exception):
    """The deployment was deleted while its specs were fetched."""


async def matching(
    session: Session, name: str | None, project_id: str | None, cluster_id: str | None, first: int | None
) -> AsyncGenerator[list[Deployment]]:
    """The deployments that meet the conditions, up to `first` of them, each complete; a page at a time."""
    if first == 0:
        return

    async def fetch(size: int, after: str | None) -> Page[DeploymentPage]:
        variables: DeploymentsVariables = {"name": name, "projectId": project_id, "clusterId": cluster_id}
        variables |= {"first": size, "after": after, "specsFirst": MAX_PAGE}
        result = await session.run(DEPLOYMENTS, variables)
        return result["deployments"]["nodes"], result["deployments"]["pageInfo"]

    # Where some are left out here, nobody knows how many to ask for: whole pages take the fewest requests.
    filtered = name is not None or cluster_id is not None
    left = first
    async with aclosing(walk(fetch, operation=DEPLOYMENTS.name, limit=None if filtered else first)) as pages:
        async for page in pages:
            found = []
            for node in page:
                if name is not None and not same_text(node["name"], name):
                    continue
                specs = await all_specs(session, node, cluster_id)
                if specs is None or (cluster_id is not None and not specs):
                    continue
                found.append(flattened(node, specs))
            if left is not None:
                found = found[:left]
                left -= len(found)
            yield found
            if left == 0:
                return


async def find_id(name: str, project_id: str, session: Session, call: Call) -> str:
    """The id of the deployment with exactly this name in this project."""
    found: set[str] = set()

    async def fetch(size: int, after: str | None) -> Page[DeploymentPage]:
        variables: DeploymentsVariables = {"name": name, "projectId": project_id}
        variables |= {"first": size, "after": after, "specsFirst": 1}
        result = await session.run(DEPLOYMENTS, variables, call=call)
        return result["deployments"]["nodes"], result["deployments"]["pageInfo"]

    async for page in walk(fetch, operation=DEPLOYMENTS.name):
        found.update(node["id"] for node in page if same_text(node["name"], name))
    if not found:
        message = f"there is no deployment named {name!r} in the project {project_id!r}"
        raise NotFoundError(message, operation=DEPLOYMENTS.name)
    if len(found) > 1:
        message = f"{len(found)} deployments in the project {project_id!r} are named {name!r}; say which by id="
        raise ConflictError(message, operation=DEPLOYMENTS.name)
    return found.pop()


async def all_specs(
    session: Session, found: DeploymentPage, cluster_id: str | None = None
) -> list[DeploymentSpec] | None:
    """The specs of a deployment whose first page is there; None where it was deleted meanwhile."""
    first = found["deploymentSpecs"]
    if not first["pageInfo"]["hasNextPage"]:
        return first["nodes"]

    async def fetch(_size: int, after: str | None) -> Page[DeploymentSpec]:
        page = await get_page(session, found["id"], cluster_id, after)
        if page is None:
            raise _GoneError
        return page["deploymentSpecs"]["nodes"], page["deploymentSpecs"]["pageInfo"]

    try:
        pages = walk(fetch, operation=DEPLOYMENT.name, head=(first["nodes"], first["pageInfo"]))
        return [spec async for page in pages for spec in page]
    except _GoneError:
        return None


async def get_complete(session: Session, id: str) -> Deployment:
    """The deployment with all its specs."""
    found = await get_page(session, id)
    specs = found and await all_specs(session, found)
    if found is None or specs is None:
        raise not_found(id, DEPLOYMENT.name)
    return flattened(found, specs)


async def get_page(
    session: Session, id: str, cluster_id: str | None = None, after: str | None = None
) -> DeploymentPage | None:
    """The deployment with a page of its specs; None where there is no such deployment."""
    result = await session.run(
        DEPLOYMENT,
        DeploymentVariables(id=id, clusterId=cluster_id, specsFirst=MAX_PAGE, specsAfter=after),
        verify=about(id),
    )
    return result["deployment"]


def flattened(found: DeploymentPage, specs: list[DeploymentSpec]) -> Deployment:
    """The documented dict, without what paging needed."""
    return {**found, "deploymentSpecs": {"nodes": specs}}


def not_found(id: str, operation: str) -> NotFoundError:
    """The error for an id that no deployment has."""
    return NotFoundError(f"there is no deployment with the id {id}, or it is deleted", operation=operation)


def no_such(resource: Literal["spec", "instance"], message: str, operation: str) -> NotFoundError:
    """The error for a part that a deployment does not have."""
    error = NotFoundError(message, operation=operation)
    error.resource = resource
    return error


def without_spec(*deployments: Mapping[str, Any]) -> str | None:
    """A complaint where one of the deployments has no spec: it is made with one, and keeps it."""
    bare = next((found for found in deployments if not found["deploymentSpecs"]["nodes"]), None)
    return None if bare is None else f"the deployment {bare['id']} has no spec"


def equal_ids(one: str, other: str) -> bool:
    """Whether two ids are the same, in whichever case they are written."""
    return one.lower() == other.lower()


def same_id(asked: str, answered: str) -> str | None:
    """A complaint where the server answers about another deployment than was asked for."""
    return None if equal_ids(asked, answered) else f"asked for {asked}, the server answered about {answered}"


def about(id: str) -> Callable[[Any], str | None]:
    """Looks whether an answer, where there is a deployment in it, is about the one that was asked for."""
    return lambda result: result["deployment"] and same_id(id, result["deployment"]["id"])


def misfit(id: str, found: Mapping[str, Any]) -> str | None:
    """A complaint where this is another deployment than was asked for, or has no spec."""
    return same_id(id, found["id"]) or without_spec(found)


def same_text(one: str, other: str) -> bool:
    """Whether two names are the same, however their accents are encoded."""
    return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


def in_utc(moment: datetime) -> datetime:
    """A moment that says where it is; one that does not is in UTC, as everything that the API says."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
