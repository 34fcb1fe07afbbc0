"""Create, update and delete, safe when a response is lost and the request is sent again.

An update has the same effect however often it is sent. A create that is sent again may be rejected because the earlier
attempt was applied and the deployment now has the name. Our server knows that from the idempotency key, and sends the first
response again. With other servers, the name is looked up: see `_lost_creates`.

A server that lacks an added field of a spec rejects a spec with it in words of its own. The error is an invalid spec with each
server, as for a field that does not exist.

Some servers reject a name that is taken as they reject any invalid value: with BAD_USER_INPUT. Then the name is looked
up too, so that the error is a conflict with every server.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient._core.documents import load_document
from paperspace.gradient._generated.deployment_create import DEPLOYMENT_CREATE, DeploymentCreateVariables
from paperspace.gradient._generated.deployment_delete import DEPLOYMENT_DELETE, DeploymentDeleteVariables
from paperspace.gradient._generated.deployment_update import DEPLOYMENT_UPDATE, DeploymentUpdateVariables
from paperspace.gradient._generated.deployments_current import DEPLOYMENTS_CURRENT, DeploymentsCurrentVariables
from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient._shared.problems import Problem, hide
from paperspace.gradient._spec.checks import invalid_spec
from paperspace.gradient.deployments._errors import name_taken, rebuilt
from paperspace.gradient.deployments._queries import find_by_name, same_id, verify_same_deployment
from paperspace.gradient.errors import APIError, BadRequestError, InvalidSpecError, NotFoundError, OutcomeUnknownError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from paperspace.gradient._core.session import Call, Session
    from paperspace.gradient._generated.deployment_create import Deployment as CreatedDeployment
    from paperspace.gradient._generated.deployment_update import Deployment as UpdatedDeployment
    from paperspace.gradient._generated.inputs import CreateDeploymentInput, UpdateDeploymentInput
    from paperspace.gradient.deployments import _lost_creates
    from paperspace.gradient.types import DeploymentRef
else:
    [_lost_creates] = lazy_modules("paperspace.gradient.deployments", "_lost_creates")

# Codes and statuses of requests that were rejected for another reason than the values in them.
_NOT_ABOUT_VALUES = {
    Code.BUDGET_EXCEEDED,
    Code.GRAPHQL_PARSE_FAILED,
    Code.GRAPHQL_VALIDATION_FAILED,
    "OPERATION_RESOLUTION_FAILURE",
    "PERSISTED_QUERY_NOT_FOUND",
    "PERSISTED_QUERY_NOT_SUPPORTED",
}
_TOO_LARGE = 413


class Changed(NamedTuple):
    """A deployment that a mutation created or updated.

    Attributes:
        id: The id of the deployment.
        spec_ids: The ids of its newest specs, newest first: that of the new spec and, after an update, of the one before.
            Empty: they were not asked for.
    """

    id: str
    spec_ids: list[str]

    @property
    def spec_id(self) -> str | None:
        """The id of the newest spec. None: it was not asked for."""
        return self.spec_ids[0] if self.spec_ids else None


async def create(session: Session, call: Call, values: CreateDeploymentInput, *, with_specs: bool = False) -> Changed:
    """Create a deployment, or find the one that an earlier attempt of this call created.

    Args:
        session: The session to send it with.
        call: The call that it is part of.
        values: The input.
        with_specs: Whether the result has the id of the spec.

    Raises:
        InvalidSpecError: The server lacks a field of the spec.
    """
    require_known_fields(session, values["spec"])
    variables: DeploymentCreateVariables = {"input": values}
    if with_specs:
        variables["withSpecs"] = True
    try:
        result = await session.run(DEPLOYMENT_CREATE, variables, call=call)
    except OutcomeUnknownError as error:
        if not call.rejected_after_lost_response:
            raise
        return Changed(*await _lost_creates.find_created(session, call, values, error))
    except BadRequestError as error:
        await _require_known_fields_now(session, call, values["spec"], error)
        if _rejects_values(error):
            raise await _explained(session, call, error, values["name"], values["projectId"]) from error
        raise
    return _changed(result["createDeployment"]["deployment"])


async def update(session: Session, call: Call, values: UpdateDeploymentInput, *, with_specs: bool = False) -> Changed:
    """Change the given fields of a deployment.

    Args:
        session: The session to send it with.
        call: The call that it is part of.
        values: The input.
        with_specs: Whether the result has the ids of the two newest specs.

    Raises:
        InvalidSpecError: The server lacks a field of the spec.
    """
    spec = values.get("spec") or {}
    require_known_fields(session, spec)
    variables: DeploymentUpdateVariables = {"input": values}
    if with_specs:
        variables["withSpecs"] = True
    try:
        result = await session.run(
            DEPLOYMENT_UPDATE,
            variables,
            call=call,
            verify=lambda result: verify_same_deployment(
                values["id"], result["updateDeployment"]["deployment"], require_spec=with_specs
            ),
        )
    except BadRequestError as error:
        await _require_known_fields_now(session, call, spec, error)
        if _rejects_values(error):
            name, project_id = values.get("name"), values.get("projectId")
            raise await _explained(session, call, error, name, project_id, id=values["id"]) from error
        raise
    return _changed(result["updateDeployment"]["deployment"])


def _changed(deployment: CreatedDeployment | UpdatedDeployment) -> Changed:
    specs = deployment["deploymentSpecs"]["nodes"] if "deploymentSpecs" in deployment else ()
    return Changed(deployment["id"], [spec["id"] for spec in specs])


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


def require_known_fields(session: Session, spec: Mapping[str, object]) -> None:
    """Make sure that a spec has no field that the server is known to lack.

    Raises:
        InvalidSpecError: It has one.
    """
    missing = session.missing.intersection(spec)
    if missing:
        hint = "this server does not have it; remove it, or use another server"
        raise invalid_spec(
            Problem(("spec", field), hide(spec[field]), "a field that the server has", hint, "unknown_field")
            for field in sorted(missing)
        )


async def _require_known_fields_now(
    session: Session, call: Call, spec: Mapping[str, object], rejection: APIError
) -> None:
    """Find out whether the server lacks a field of a spec that it has rejected: it then rejects a query for it too.

    Raises:
        InvalidSpecError: It lacks one.
    """
    if load_document(DEPLOYMENTS_CURRENT.name).additions.isdisjoint(spec):
        return
    with suppress(APIError):
        await session.run(DEPLOYMENTS_CURRENT, DeploymentsCurrentVariables(name="-", projectId="-", first=1), call=call)
    try:
        require_known_fields(session, spec)
    except InvalidSpecError as error:
        raise error from rejection


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
        project_id: The project. None: unknown, because some servers do not return the project of a deployment.
        id: The id of the deployment that is changed. Empty: it would be new.
    """
    attempts = rejection.attempts
    name_may_be_taken = name is not None or project_id is not None
    if name is not None:
        found = []
        try:
            found = await find_by_name(session, call, name, project_id)
            name_may_be_taken = False
        except NotFoundError:
            name_may_be_taken = False
        except APIError:
            pass  # it is not known whether the name is taken
        attempts += call.attempts
        if any(not same_id(deployment["id"], id) for deployment in found):
            return name_taken(rejection, name, project_id, attempts=attempts, elapsed=call.elapsed)
    cause = "the cluster or instance type does not exist"
    if name_may_be_taken:
        cause = f"the name is already in use, or {cause}"
    message = f"{rejection.args[0]} (possible cause: {cause})"
    return rebuilt(rejection, message, attempts=attempts, elapsed=call.elapsed)
