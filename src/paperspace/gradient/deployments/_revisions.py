"""The revisions of a deployment: reading them with everything that they say, and putting another one on top."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from paperspace.gradient._core.pagination import MAX_PAGE, walk
from paperspace.gradient._generated.deployment_history import DEPLOYMENT_HISTORY, DeploymentHistoryVariables
from paperspace.gradient._generated.deployment_revise import DEPLOYMENT_REVISE, DeploymentReviseVariables
from paperspace.gradient._generated.deployments_current import DEPLOYMENTS_CURRENT, DeploymentsCurrentVariables
from paperspace.gradient.deployments._queries import equal_ids, misfit, not_found, same_text, without_spec
from paperspace.gradient.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from paperspace.gradient._core.pagination import Page
    from paperspace.gradient._core.session import Call, Session
    from paperspace.gradient._generated.deployment_revision_fields import DeploymentSpec as Revision
    from paperspace.gradient._generated.deployments_current import Deployment as Current
    from paperspace.gradient._generated.inputs import UpdateDeploymentInput
    from paperspace.gradient.types import DeploymentRef


async def current_revision(session: Session, call: Call, name: str, project_id: str) -> Current | None:
    """The deployment of this name with its newest spec, if there is one."""

    async def fetch(size: int, after: str | None) -> Page[Current]:
        variables = DeploymentsCurrentVariables(name=name, projectId=project_id, first=size, after=after)
        result = await session.run(
            DEPLOYMENTS_CURRENT,
            variables,
            call=call,
            verify=lambda result: without_spec(*result["deployments"]["nodes"]),
        )
        return result["deployments"]["nodes"], result["deployments"]["pageInfo"]

    async with aclosing(walk(fetch, operation=DEPLOYMENTS_CURRENT.name)) as pages:
        async for page in pages:
            for node in page:
                if same_text(node["name"], name):
                    return node
    return None


def revision_pages(session: Session, id: str) -> AsyncGenerator[list[Revision]]:
    """The revisions of a deployment, the newest first, a page at a time."""
    return walk(
        lambda size, after: revision_page(session, id, first=size, after=after), operation=DEPLOYMENT_HISTORY.name
    )


async def revision_page(
    session: Session, id: str, *, first: int = MAX_PAGE, after: str | None = None, call: Call | None = None
) -> Page[Revision]:
    """A page of the revisions of a deployment."""
    result = await session.run(
        DEPLOYMENT_HISTORY,
        DeploymentHistoryVariables(id=id, first=first, after=after),
        call=call,
        verify=lambda result: result["deployment"] and (misfit(id, result["deployment"]) if after is None else None),
    )
    if result["deployment"] is None:
        raise not_found(id, DEPLOYMENT_HISTORY.name)
    specs = result["deployment"]["deploymentSpecs"]
    return specs["nodes"], specs["pageInfo"]


async def put_revision(session: Session, call: Call, id: str, read: Revision, values: dict[str, Any]) -> DeploymentRef:
    """Puts a spec in place of the one that was read, and makes sure that it was still that one.

    The server has no way to say 'only if nothing came between', but it keeps every spec. So the spec before ours
    has to be the one that was read; if it is not, ours has replaced one that its maker never meant to lose.
    """
    variables = DeploymentReviseVariables(input=cast("UpdateDeploymentInput", {"id": id, **values}))
    result = await session.run(
        DEPLOYMENT_REVISE,
        variables,
        call=call,
        verify=lambda result: misfit(id, result["updateDeployment"]["deployment"]),
    )
    ours, *earlier = result["updateDeployment"]["deployment"]["deploymentSpecs"]["nodes"]

    def between() -> bool:
        return bool(earlier) and not equal_ids(earlier[0]["id"], read["id"])

    while between() and whole_of(earlier[0]) == whole_of(ours):
        del earlier[0]  # it says the same: our own, from a try whose answer was lost, or what somebody else wanted too
    if between():
        raise ConflictError(
            f"the spec {earlier[0]['id']} came between: ours was made from {read['id']}, and {ours['id']} has replaced "
            "both; look at the history and put right what is lost",
            operation=DEPLOYMENT_REVISE.name,
            attempts=call.attempts,
            elapsed=call.elapsed,
            may_have_executed="yes",
        )
    return {"id": id}


def data_of(revision: Revision) -> dict[str, Any]:
    """What a revision says, as it can be sent again: without what is null."""
    return cast("dict[str, Any]", _without_null(revision["data"]))


def whole_of(revision: Revision) -> dict[str, Any]:
    """The same, and where it is to run."""
    return {**data_of(revision), "cluster": revision["cluster"] and revision["cluster"]["id"]}


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(entry) for key, entry in value.items() if entry is not None}
    return [_without_null(entry) for entry in value] if isinstance(value, list) else value
