"""Changes of deployments that stay true when an answer is lost.

An update may be sent again as it is. A create that was sent again, with the same idempotency key, may be refused because
the first try had done it, and the name is taken by our own deployment. So the name is looked up, and a deployment is
taken for ours only if it was created since the call began, give or take two seconds, and with this very spec. Another
caller who asked for the very same thing at that time cannot be told apart, and need not be: what we asked for is there.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from paperspace.gradient._core.pagination import walk
from paperspace.gradient._generated.deployment_create import DEPLOYMENT_CREATE, DeploymentCreateVariables
from paperspace.gradient._generated.deployment_created import DEPLOYMENT_CREATED, DeploymentCreatedVariables
from paperspace.gradient._generated.deployment_delete import DEPLOYMENT_DELETE, DeploymentDeleteVariables
from paperspace.gradient._generated.deployment_update import DEPLOYMENT_UPDATE, DeploymentUpdateVariables
from paperspace.gradient.deployments._queries import in_utc, same_id, same_text
from paperspace.gradient.errors import APIError, BadRequestError, ConflictError, NotFoundError, OutcomeUnknownError

if TYPE_CHECKING:
    from paperspace.gradient._core.pagination import Page
    from paperspace.gradient._core.session import Call, Session
    from paperspace.gradient._generated.deployment_created import Deployment
    from paperspace.gradient._generated.inputs import CreateDeploymentInput, UpdateDeploymentInput
    from paperspace.gradient.types import DeploymentRef

# What Apollo servers say of any input that they refuse, with no word about which.
_VAGUE = "invalid values"

# A Date header has whole seconds, and a server's clocks differ a little among each other.
TOLERANCE = timedelta(seconds=2)


async def create(session: Session, call: Call, values: CreateDeploymentInput) -> DeploymentRef:
    """Creates a deployment, or finds the one that an earlier try of this very call has created."""
    try:
        result = await session.run(DEPLOYMENT_CREATE, DeploymentCreateVariables(input=values), call=call)
    except APIError as error:
        if not call.refused_after_lost_response(error):
            raise _hinted(error) from error.__cause__
        return {"id": await _find_created(session, call, values, error)}
    return result["createDeployment"]["deployment"]


async def update(session: Session, call: Call, values: UpdateDeploymentInput) -> DeploymentRef:
    """Changes what is given of a deployment."""
    try:
        result = await session.run(
            DEPLOYMENT_UPDATE,
            DeploymentUpdateVariables(input=values),
            call=call,
            verify=lambda result: same_id(values["id"], result["updateDeployment"]["deployment"]["id"]),
        )
    except BadRequestError as error:
        raise _hinted(error) from error.__cause__
    return result["updateDeployment"]["deployment"]


async def delete(session: Session, call: Call, id: str) -> DeploymentRef:
    """Deletes a deployment. Where an earlier try of this very call may have done so, not to find it is to be done."""
    try:
        result = await session.run(
            DEPLOYMENT_DELETE,
            DeploymentDeleteVariables(input={"id": id}),
            call=call,
            verify=lambda result: same_id(id, result["deleteDeployment"]["deployment"]["id"]),
        )
    except NotFoundError as error:
        if not call.refused_after_lost_response(error):
            raise
        return {"id": id}
    return result["deleteDeployment"]["deployment"]


def _hinted(error: APIError) -> APIError:
    """The error, and where the server does not say what is wrong, what is not, and what may be."""
    if isinstance(error, BadRequestError) and _VAGUE in str(error.args[0]).lower():
        hint = "the spec itself passes the library's own check; is the name taken, or the cluster or instance type unknown?"
        error.args = (f"{error.args[0]} ({hint})",)
    return error


async def _find_created(session: Session, call: Call, values: CreateDeploymentInput, refusal: APIError) -> str:
    """The id of the deployment that an earlier try of this call created.

    Args:
        session: Where to look.
        call: The call, for its deadline and its start.
        values: What was to be created.
        refusal: What the server said to the latest try.

    Raises:
        APIError: The refusal, where there is no such deployment; a conflict, where the name is somebody else's.
        OutcomeUnknownError: It could not be looked up in time.
    """
    name, project_id = values["name"], values["projectId"]
    attempts = refusal.attempts  # and then those of the look-up

    async def fetch(size: int, after: str | None) -> Page[Deployment]:
        nonlocal attempts
        variables = DeploymentCreatedVariables(name=name, projectId=project_id, first=size, after=after)
        try:
            result = await session.run(DEPLOYMENT_CREATED, variables, call=call)
        finally:
            attempts += call.attempts
        return result["deployments"]["nodes"], result["deployments"]["pageInfo"]

    try:
        pages = walk(fetch, operation=DEPLOYMENT_CREATED.name)
        found = [node async for page in pages for node in page if same_text(node["name"], name)]
    except APIError as error:
        message = f"whether {name!r} was created in the project {project_id!r} could not be found out: {error.args[0]}"
        raise OutcomeUnknownError(
            message,
            operation=refusal.operation,
            status=error.status,
            attempts=attempts,
            elapsed=call.elapsed,
            may_have_executed="unknown",
        ) from refusal
    refusal.attempts, refusal.elapsed = attempts, call.elapsed
    if not found:
        raise refusal
    for node in found:
        if _since_start(node, call) and _as_asked(node, values):
            return node["id"]
    if isinstance(refusal, ConflictError):
        raise refusal
    message = f"{refusal.args[0]} (the name {name!r} is taken in the project {project_id!r}, by another deployment)"
    raise ConflictError(
        message,
        operation=refusal.operation,
        status=refusal.status,
        code=refusal.code,
        attempts=attempts,
        elapsed=call.elapsed,
        may_have_executed=refusal.may_have_executed,
    ) from refusal


def _since_start(node: Deployment, call: Call) -> bool:
    """Whether it was created since the call began, by the server's own clock."""
    from email.utils import parsedate_to_datetime

    try:
        created = datetime.fromisoformat(node["dtCreated"])
        now = parsedate_to_datetime(call.server_date or "")
    except ValueError:
        return False
    return in_utc(created) >= in_utc(now) - timedelta(seconds=call.elapsed) - TOLERANCE


def _as_asked(node: Deployment, values: CreateDeploymentInput) -> bool:
    """Whether its first spec is the one that was sent, for the cluster that was named."""
    specs = node["deploymentSpecs"]["nodes"]
    if not specs or not _holds(values["spec"], specs[0]["data"]):
        return False
    cluster = specs[0]["cluster"]
    return "clusterId" not in values or (cluster is not None and cluster["id"] == values["clusterId"])


def _holds(sent: Any, stored: Any) -> bool:
    """Whether everything that was sent is stored; what was sent as null may have become a default."""
    if isinstance(sent, dict):
        return isinstance(stored, dict) and all(
            value is None or _holds(value, stored.get(key)) for key, value in sent.items()
        )
    if isinstance(sent, list):
        return (
            isinstance(stored, list)
            and len(sent) == len(stored)
            and all(_holds(one, other) for one, other in zip(sent, stored, strict=True))
        )
    return bool(sent == stored)
