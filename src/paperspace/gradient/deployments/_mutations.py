"""Create, update and delete, safe when a response is lost and the request is sent again.

An update has the same effect however often it is sent. A create that is sent again may fail because the earlier attempt
was applied and the deployment now has the name. Therefore the name is looked up, and a deployment counts as the result
of this call only if it was created after the call began, within two seconds of tolerance, and from exactly this spec.
If another client created the same deployment at the same time, the two look the same, and either is a correct result.

Some servers reject a name that is taken as they reject any invalid value: with BAD_USER_INPUT. Then the name is looked
up too, so that the error is a conflict with every server.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from paperspace.gradient._core.pagination import iter_pages
from paperspace.gradient._generated.deployment_create import DEPLOYMENT_CREATE, DeploymentCreateVariables
from paperspace.gradient._generated.deployment_created import DEPLOYMENT_CREATED, DeploymentCreatedVariables
from paperspace.gradient._generated.deployment_delete import DEPLOYMENT_DELETE, DeploymentDeleteVariables
from paperspace.gradient._generated.deployment_update import DEPLOYMENT_UPDATE, DeploymentUpdateVariables
from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient.deployments._errors import rebuilt
from paperspace.gradient.deployments._queries import find_by_name, in_utc, same_id, same_text, verify_same_deployment
from paperspace.gradient.errors import APIError, BadRequestError, ConflictError, NotFoundError, OutcomeUnknownError

if TYPE_CHECKING:
    from paperspace.gradient._core.pagination import Page
    from paperspace.gradient._core.session import Call, Session
    from paperspace.gradient._generated.deployment_created import Deployment
    from paperspace.gradient._generated.inputs import CreateDeploymentInput, UpdateDeploymentInput
    from paperspace.gradient.types import DeploymentRef

# Codes and statuses of requests that were rejected before the server looked at the values in them.
_NOT_ABOUT_VALUES = {
    Code.GRAPHQL_PARSE_FAILED,
    Code.GRAPHQL_VALIDATION_FAILED,
    "OPERATION_RESOLUTION_FAILURE",
    "PERSISTED_QUERY_NOT_FOUND",
    "PERSISTED_QUERY_NOT_SUPPORTED",
}
_TOO_LARGE = 413

# A Date header has whole seconds, and the clocks of a server's machines differ a little.
CLOCK_TOLERANCE = timedelta(seconds=2)


async def create(session: Session, call: Call, values: CreateDeploymentInput) -> DeploymentRef:
    """Create a deployment, or find the one that an earlier attempt of this call created."""
    try:
        result = await session.run(DEPLOYMENT_CREATE, DeploymentCreateVariables(input=values), call=call)
    except OutcomeUnknownError as error:
        if not call.rejected_after_lost_response:
            raise
        return {"id": await _find_created(session, call, values, error)}
    except BadRequestError as error:
        if _rejects_values(error):
            raise await _explained(session, call, error, values["name"], values["projectId"]) from error
        raise
    return result["createDeployment"]["deployment"]


async def update(session: Session, call: Call, values: UpdateDeploymentInput) -> DeploymentRef:
    """Change the given fields of a deployment."""
    try:
        result = await session.run(
            DEPLOYMENT_UPDATE,
            DeploymentUpdateVariables(input=values),
            call=call,
            verify=lambda result: verify_same_deployment(values["id"], result["updateDeployment"]["deployment"]),
        )
    except BadRequestError as error:
        if _rejects_values(error):
            name, project_id = values.get("name"), values.get("projectId")
            raise await _explained(session, call, error, name, project_id, id=values["id"]) from error
        raise
    return result["updateDeployment"]["deployment"]


async def delete(session: Session, call: Call, id: str) -> DeploymentRef:
    """Delete a deployment. If an earlier attempt of this call may have deleted it, not found counts as success."""
    try:
        result = await session.run(
            DEPLOYMENT_DELETE,
            DeploymentDeleteVariables(input={"id": id}),
            call=call,
            verify=lambda result: verify_same_deployment(id, result["deleteDeployment"]["deployment"]),
        )
    except OutcomeUnknownError as error:
        if not isinstance(error.__cause__, NotFoundError):
            raise
        return {"id": id}
    return result["deleteDeployment"]["deployment"]


def _rejects_values(error: APIError) -> bool:
    """Whether the server rejected the values that were sent, for whatever reason."""
    about_values = error.code not in _NOT_ABOUT_VALUES and error.status != _TOO_LARGE
    return isinstance(error, BadRequestError) and about_values


async def _explained(
    session: Session, call: Call, rejection: APIError, name: str | None, project_id: str | None, *, id: str = ""
) -> APIError:
    """Return the error for values that the server rejected: a conflict if another deployment has the name.

    Args:
        session: The session to look the name up with.
        call: The call, for its deadline.
        rejection: The error of the change.
        name: The new name. None: it does not change.
        project_id: The project. None: not known, as the API does not return the project of a deployment.
        id: The id of the deployment that is changed. Empty: it would be new.
    """
    attempts = rejection.attempts
    hint = "is the name taken, or the cluster or instance type unknown?"
    if name is not None:
        try:
            found = await find_by_name(session, call, name, project_id)
        except NotFoundError:
            found, hint = [], "is the cluster or instance type unknown?"
        except APIError:  # then it is not known why the values were rejected
            found = []
        attempts += call.attempts
        if any(not same_id(deployment["id"], id) for deployment in found):
            return _name_taken(rejection, name, project_id, attempts, call.elapsed)
    message = f"{rejection.args[0]} (the spec passed the library's validation; {hint})"
    return rebuilt(rejection, message, attempts=attempts, elapsed=call.elapsed)


def _name_taken(rejection: APIError, name: str, project_id: str | None, attempts: int, elapsed: float) -> ConflictError:
    """Return the conflict that a server did not report as one. It has the facts of the server's error."""
    project = f" in project {project_id!r}" if project_id is not None else ""
    return ConflictError(
        f"{rejection.args[0]} (another deployment is named {name!r}{project})",
        operation=rejection.operation,
        status=rejection.status,
        code=rejection.code,
        request_id=rejection.request_id,
        attempts=attempts,
        elapsed=elapsed,
        may_have_executed=rejection.may_have_executed,
    )


async def _find_created(
    session: Session, call: Call, values: CreateDeploymentInput, unknown: OutcomeUnknownError
) -> str:
    """Return the id of the deployment that an earlier attempt of this call created.

    Args:
        session: The session to look it up with.
        call: The call, for its deadline and its start.
        values: The input of the create.
        unknown: The error of the create; its cause is the error of the latest attempt.

    Raises:
        ConflictError: Another deployment has the name.
        OutcomeUnknownError: No deployment has the name yet, or the look-up failed.
    """
    name, project_id = values["name"], values["projectId"]
    rejection = cast("APIError", unknown.__cause__)
    attempts = unknown.attempts  # those of the look-up are added

    async def fetch(size: int, after: str | None) -> Page[Deployment]:
        nonlocal attempts
        variables = DeploymentCreatedVariables(name=name, projectId=project_id, first=size, after=after)
        try:
            result = await session.run(DEPLOYMENT_CREATED, variables, call=call)
        finally:
            attempts += call.attempts
        return result["deployments"]["nodes"], result["deployments"]["pageInfo"]

    try:
        pages = iter_pages(fetch, operation=DEPLOYMENT_CREATED.name)
        candidates = [node async for page in pages for node in page if same_text(node["name"], name)]
    except APIError as error:
        message = (
            f"deployment {name!r} may have been created in project {project_id!r}, and looking it up failed: "
            f"{error.args[0]}"
        )
        raise rebuilt(unknown, message, attempts=attempts, elapsed=call.elapsed) from rejection
    for node in candidates:
        if _created_during_call(node, call) and _created_from(values, node):
            return node["id"]
    if not candidates:
        raise rebuilt(unknown, attempts=attempts, elapsed=call.elapsed) from rejection
    if isinstance(rejection, ConflictError):
        raise rebuilt(rejection, attempts=attempts, elapsed=call.elapsed) from rejection.__cause__
    raise _name_taken(rejection, name, project_id, attempts, call.elapsed) from rejection


def _created_during_call(node: Deployment, call: Call) -> bool:
    """Whether a deployment was created after the call began, by the server's clock."""
    from email.utils import parsedate_to_datetime

    try:
        created = datetime.fromisoformat(node["dtCreated"])
        now = parsedate_to_datetime(call.server_date or "")
    except ValueError:
        return False
    return in_utc(created) >= in_utc(now) - timedelta(seconds=call.elapsed) - CLOCK_TOLERANCE


def _created_from(values: CreateDeploymentInput, node: Deployment) -> bool:
    """Whether the first spec of a deployment is the one that was sent, on the cluster that was sent."""
    specs = node["deploymentSpecs"]["nodes"]
    if not specs or not _contains(specs[0]["data"], values["spec"]):
        return False
    cluster = specs[0]["cluster"]
    return "clusterId" not in values or (cluster is not None and cluster["id"] == values["clusterId"])


def _contains(stored: Any, sent: Any) -> bool:
    """Whether a stored value has everything that was sent. The server may replace null by a default."""
    if isinstance(sent, dict):
        return isinstance(stored, dict) and all(
            value is None or _contains(stored.get(key), value) for key, value in sent.items()
        )
    if isinstance(sent, list):
        return (
            isinstance(stored, list)
            and len(stored) == len(sent)
            and all(_contains(stored_item, item) for stored_item, item in zip(stored, sent, strict=True))
        )
    return bool(sent == stored)
