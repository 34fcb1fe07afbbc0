"""Queries that several functions share: pages of deployments, one deployment, all specs of a deployment."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar

from paperspace.gradient._core.pagination import MAX_PAGE, fetch_fitting, is_page_too_large, iter_pages
from paperspace.gradient._generated.deployment import DEPLOYMENT, DeploymentVariables
from paperspace.gradient._generated.deployments import DEPLOYMENTS, DeploymentsVariables
from paperspace.gradient._generated.deployments_current import DEPLOYMENTS_CURRENT, DeploymentsCurrentVariables
from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient._shared.problems import shorten
from paperspace.gradient._shared.spec_rules import normalize_name
from paperspace.gradient.errors import APIError, ConflictError, MalformedResponseError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from paperspace.gradient._core.pagination import FetchPage, Page
    from paperspace.gradient._core.session import Call, Session
    from paperspace.gradient._generated.deployment_fields import Deployment as DeploymentPage
    from paperspace.gradient._generated.deployments_current import Deployment as CurrentDeployment
    from paperspace.gradient._shared.operation import Operation
    from paperspace.gradient.deployments import _on_cluster
    from paperspace.gradient.types import Deployment, DeploymentSpec
else:
    [_on_cluster] = lazy_modules("paperspace.gradient.deployments", "_on_cluster")

D = TypeVar("D", bound=Mapping[str, Any])
V = TypeVar("V", bound="_IdVariables")


class _IdVariables(TypedDict):
    id: str


class _DeploymentResult(TypedDict, Generic[D]):
    deployment: D | None


async def iter_deployment_pages(
    session: Session, name: str | None, project_id: str | None, cluster_id: str | None, first: int | None
) -> AsyncGenerator[list[Deployment]]:
    """Iterate over pages of the deployments that match the filters, each with all its specs; `first` at most."""
    if first == 0:
        return

    async def fetch(size: int, after: str | None, specs: int) -> Page[DeploymentPage]:
        variables: DeploymentsVariables = {"name": name, "projectId": project_id, "clusterId": cluster_id}
        variables |= {"first": size, "after": after, "specsFirst": specs}
        result = await session.run(DEPLOYMENTS, variables)
        return result["deployments"]["nodes"], result["deployments"]["pageInfo"]

    fetch_page = with_smaller_parts(fetch)
    if cluster_id is not None:
        on_cluster = _on_cluster.deployments(session, name, project_id, cluster_id)
        fetch_page = _on_cluster.filtered_by_server(fetch_page, with_smaller_parts(on_cluster))
    # With a filter, some nodes are dropped here, so how many to ask for is unknown: full pages take the fewest requests.
    filtered = name is not None or cluster_id is not None
    remaining = first
    async with aclosing(iter_pages(fetch_page, operation=DEPLOYMENTS.name, limit=None if filtered else first)) as pages:
        async for page in pages:
            deployments = []
            for node in page:
                if name is not None and not same_text(node["name"], name):
                    continue
                with suppress(NotFoundError):  # it was deleted in the meantime
                    complete = await _with_all_specs(session, node, cluster_id)
                    if cluster_id is None or complete["deploymentSpecs"]["nodes"]:
                        deployments.append(complete)
            if remaining is not None:
                deployments = deployments[:remaining]
                remaining -= len(deployments)
            yield deployments
            if remaining == 0:
                return


def with_smaller_parts(fetch: Callable[[int, str | None, int], Awaitable[Page[D]]]) -> FetchPage[D]:
    """Return a function that fetches a page of deployments, of each a page of specs or instances: a smaller one if it is too large.

    The third argument of `fetch` is the size of the pages of specs or instances.
    """

    async def fetch_page(size: int, after: str | None) -> Page[D]:
        try:
            return await fetch(size, after, MAX_PAGE)
        except APIError as error:
            if size > 1 or not is_page_too_large(error):
                raise
        return await fetch(size, after, 1)

    return fetch_page


async def id_of(session: Session, call: Call, id: str | None, name: str | None, project_id: str | None) -> str:
    """Return the id of the deployment with this id or, without one, with this name.

    Raises:
        NotFoundError: No deployment has this name. Whether one has the id is not checked.
        ConflictError: Several deployments have this name.
    """
    return await find_id(session, call, name or "", project_id) if id is None else id


async def find_id(session: Session, call: Call, name: str, project_id: str | None) -> str:
    """Return the id of the deployment with exactly this name in this project. None: in any project.

    Raises:
        NotFoundError: No deployment has this name.
        ConflictError: Several deployments have this name. The message lists them.
    """
    found = await find_by_name(session, call, name, project_id)
    if len(found) > 1:
        where, way = ("", "project_id= or id=") if project_id is None else (f" in project {project_id!r}", "id=")
        title = f"{len(found)} deployments are named {name!r}{where}; pass {way} to choose one:"
        raise ConflictError("\n  ".join([title, *lines_of(found)]), operation=DEPLOYMENTS.name)
    return found[0]["id"]


def lines_of(found: list[DeploymentPage]) -> list[str]:
    """Return a line for each deployment that was found by its name: its id, and the image of its newest spec if it has one."""
    return [
        "  ".join([node["id"], *(spec["data"]["image"] for spec in node["deploymentSpecs"]["nodes"])]) for node in found
    ]


async def find_by_name(session: Session, call: Call, name: str, project_id: str | None) -> list[DeploymentPage]:
    """Return the deployments with exactly this name, each with its newest spec. None as project: in any project.

    Raises:
        NotFoundError: No deployment has this name.
    """
    found: dict[str, DeploymentPage] = {}

    async def fetch(size: int, after: str | None) -> Page[DeploymentPage]:
        variables: DeploymentsVariables = {"name": name, "projectId": project_id}
        variables |= {"first": size, "after": after, "specsFirst": 1}
        result = await session.run(DEPLOYMENTS, variables, call=call)
        return result["deployments"]["nodes"], result["deployments"]["pageInfo"]

    async for page in iter_pages(fetch, operation=DEPLOYMENTS.name):
        found |= {node["id"]: node for node in page if same_text(node["name"], name)}
    if not found:
        message = f"no deployment is named {name!r}" + ("" if project_id is None else f" in project {project_id!r}")
        raise NotFoundError(message, operation=DEPLOYMENTS.name)
    return list(found.values())


async def find_current(session: Session, call: Call, name: str, project_id: str) -> CurrentDeployment | None:
    """Return the deployment with this name and its newest revision. None: no deployment has this name."""

    async def fetch(size: int, after: str | None) -> Page[CurrentDeployment]:
        variables = DeploymentsCurrentVariables(name=name, projectId=project_id, first=size, after=after)
        result = await session.run(
            DEPLOYMENTS_CURRENT,
            variables,
            call=call,
            verify=lambda result: verify_has_spec(*result["deployments"]["nodes"]),
        )
        return result["deployments"]["nodes"], result["deployments"]["pageInfo"]

    async with aclosing(iter_pages(fetch, operation=DEPLOYMENTS_CURRENT.name)) as pages:
        async for page in pages:
            for node in page:
                if same_text(node["name"], name):
                    return node
    return None


async def fetch_deployment(session: Session, call: Call, id: str) -> Deployment:
    """Fetch a deployment with all its specs. The first page of them belongs to the call.

    Raises:
        NotFoundError: No deployment has this id.
    """
    first, _ = await fetch_fitting(lambda size, _: _fetch_spec_page(session, id, size, call=call), MAX_PAGE, None)
    return await _with_all_specs(session, first)


async def _with_all_specs(session: Session, deployment: DeploymentPage, cluster_id: str | None = None) -> Deployment:
    """Return a deployment with all its specs, as documented. It has the first page of them.

    Raises:
        NotFoundError: It was deleted in the meantime.
    """

    async def fetch(size: int, after: str | None) -> Page[DeploymentSpec]:
        page = await _fetch_spec_page(session, deployment["id"], size, cluster_id, after)
        return page["deploymentSpecs"]["nodes"], page["deploymentSpecs"]["pageInfo"]

    specs, info = deployment["deploymentSpecs"]["nodes"], deployment["deploymentSpecs"]["pageInfo"]
    if info["hasNextPage"]:
        pages = iter_pages(fetch, operation=DEPLOYMENT.name, first_page=(specs, info))
        specs = [spec async for page in pages for spec in page]
    return {**deployment, "deploymentSpecs": {"nodes": specs}}


async def _fetch_spec_page(
    session: Session,
    id: str,
    size: int,
    cluster_id: str | None = None,
    after: str | None = None,
    *,
    call: Call | None = None,
) -> DeploymentPage:
    """Fetch a deployment with one page of its specs."""
    variables = DeploymentVariables(id=id, clusterId=cluster_id, specsFirst=size, specsAfter=after)
    return await fetch_by_id(session, DEPLOYMENT, variables, call=call)


async def fetch_by_id(
    session: Session,
    operation: Operation[V, _DeploymentResult[D]],
    variables: V,
    *,
    call: Call | None = None,
    require_spec: bool = False,
) -> D:
    """Run an operation that reads one deployment by its id, and return the deployment.

    Args:
        session: The session to run it with.
        operation: The operation.
        variables: Its variables, with the id.
        call: The call that the request belongs to. None: a call of its own.
        require_spec: As in `verify_same_deployment`.

    Raises:
        NotFoundError: No deployment has this id.
    """
    result = await session.run(
        operation,
        variables,
        call=call,
        verify=lambda result: verify_same_deployment(variables["id"], result["deployment"], require_spec=require_spec),
    )
    if result["deployment"] is None:
        message = f"no deployment has the id {variables['id']}, or it is deleted"
        raise NotFoundError(message, operation=operation.name)
    return result["deployment"]


def verify_same_deployment(id: str, deployment: Mapping[str, Any] | None, *, require_spec: bool = False) -> str | None:
    """Return what is wrong with a deployment in a response. None: nothing, or there is no deployment in it.

    Args:
        id: The id that was requested.
        deployment: The deployment in the response.
        require_spec: Whether it must have a spec. Every deployment has one: it is created with it.
    """
    if deployment is None:
        return None
    if not same_id(id, deployment["id"]):
        return f"the response is about deployment {deployment['id']}, but {id} was requested"
    return verify_has_spec(deployment) if require_spec else None


def verify_has_spec(*deployments: Mapping[str, Any]) -> str | None:
    """Return which of the deployments has no spec. None: each has one."""
    for deployment in deployments:
        if "deploymentSpecs" not in deployment or not deployment["deploymentSpecs"]["nodes"]:
            return f"deployment {deployment['id']} has no spec"
    return None


def same_id(one: str, other: str) -> bool:
    """Whether two ids are the same, in capitals or in small letters."""
    return one.lower() == other.lower()


def same_text(one: str, other: str) -> bool:
    """Whether two names are the same, however their accents are encoded."""
    return normalize_name(one) == normalize_name(other)


def parse_time(text: str) -> datetime:
    """Parse a time of a response.

    Raises:
        MalformedResponseError: It is not a time.
    """
    try:
        return in_utc(datetime.fromisoformat(text))
    except ValueError:
        raise MalformedResponseError(f"the response has an invalid time: {shorten(repr(text))}") from None


def start_of(since: datetime | timedelta, session: Session) -> datetime:
    """Return the time of `since`. A duration counts back from the clock of the server, as far as its responses say."""
    if isinstance(since, datetime):
        return in_utc(since)
    try:
        return datetime.now(UTC) + (session.clock_difference - since)
    except OverflowError:  # longer ago than a datetime can be
        return datetime.min.replace(tzinfo=UTC)


def in_utc(moment: datetime) -> datetime:
    """Return a time with a time zone. A time without one is in UTC, as everywhere in the API."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
