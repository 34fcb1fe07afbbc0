"""Find the deployment that a create made whose response was lost, on a server that does not repeat idempotency keys.

Such a server rejects a retry because the name is taken: by the deployment of this call, or by another one. Which one, its
age and its spec say. One that is as old as this call and has its spec is the result; if another client created the same
deployment at the same time, the two look the same, and either is a correct result. One that is older than the call is
another one. In all other cases the outcome is unknown: servers may store a spec in another form than it was sent.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from paperspace.gradient._core.pagination import iter_nodes, iter_pages
from paperspace.gradient._core.retry import parse_date
from paperspace.gradient._generated.deployment_created import DEPLOYMENT_CREATED, DeploymentCreatedVariables
from paperspace.gradient.deployments._errors import name_taken, rebuilt
from paperspace.gradient.deployments._queries import in_utc, same_text
from paperspace.gradient.errors import APIError, ClientClosedError, ConflictError

if TYPE_CHECKING:
    from paperspace.gradient._core.pagination import Page
    from paperspace.gradient._core.session import Call, Session
    from paperspace.gradient._generated.deployment_created import Deployment
    from paperspace.gradient._generated.inputs import CreateDeploymentInput
    from paperspace.gradient.errors import OutcomeUnknownError

# A Date header has whole seconds, and the clocks of a server's machines differ a little.
_TOLERANCE = timedelta(seconds=2)

# What is older than the call by this much is not of this call, even if these clocks differ a lot.
_CERTAINLY_OLDER = timedelta(minutes=1)


async def find_created(
    session: Session, call: Call, values: CreateDeploymentInput, unknown: OutcomeUnknownError
) -> tuple[str, list[str]]:
    """Return the id of the deployment that an earlier attempt of this call created, and the id of its first spec.

    Args:
        session: The session to look it up with.
        call: The call, for its deadline and its start.
        values: The input of the create.
        unknown: The error of the create; its cause is the error of the latest attempt.

    Raises:
        ConflictError: A deployment that is older than the call has the name.
        OutcomeUnknownError: No deployment has the name, or it is unknown whether this call created it.
        ClientClosedError: The client was closed during the look-up. The message says what to look for.
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

    doubt = f"deployment {name!r} may have been created in project {project_id!r}; look for it before you retry"
    try:
        nodes = iter_nodes(iter_pages(fetch, operation=DEPLOYMENT_CREATED.name))
        found = [node async for node in nodes if same_text(node["name"], name)]
    except APIError as error:
        message = f"{doubt}; the look-up by the library failed: {error.args[0]}"
        raise rebuilt(unknown, message, attempts=attempts, elapsed=call.elapsed) from rejection
    except ClientClosedError as error:
        raise ClientClosedError(f"{error.args[0]}; {doubt}") from rejection
    older = 0
    for node in found:
        age = _age(node, call)
        if age is not None and age <= _TOLERANCE and _created_from(values, node):
            return node["id"], [spec["id"] for spec in node["deploymentSpecs"]["nodes"]]
        older += age is not None and age > _CERTAINLY_OLDER
    if not found or older < len(found):
        hint = f" (deployment {found[0]['id']} is named {name!r}; this call may have created it)" if found else ""
        raise rebuilt(unknown, f"{unknown.args[0]}{hint}", attempts=attempts, elapsed=call.elapsed) from rejection
    if isinstance(rejection, ConflictError):
        raise rebuilt(
            rejection, attempts=attempts, elapsed=call.elapsed, may_have_executed="no"
        ) from rejection.__cause__
    raise name_taken(
        rejection, name, project_id, attempts=attempts, elapsed=call.elapsed, may_have_executed="no"
    ) from rejection


def _age(node: Deployment, call: Call) -> timedelta | None:
    """Return how old a deployment was when the call began, by the server's clock; below 0 if it is newer.

    None: it is unknown, as the server has no clock, or its clocks contradict each other.
    """
    now = parse_date(call.server_date)
    if now is None:
        return None
    try:
        created = in_utc(datetime.fromisoformat(node["dtCreated"]))
        age = now - timedelta(seconds=call.elapsed) - created
    except (ValueError, OverflowError):
        return None
    return age if created <= now + _TOLERANCE else None


def _created_from(values: CreateDeploymentInput, node: Deployment) -> bool:
    """Whether the first spec of a deployment is the one that was sent, on the cluster that was sent."""
    specs = node["deploymentSpecs"]["nodes"]
    if not specs or not _contains(specs[0]["data"], values["spec"]):
        return False
    cluster = specs[0]["cluster"]
    return "clusterId" not in values or (cluster is not None and cluster["id"] == values["clusterId"])


def _contains(stored: Any, sent: Any) -> bool:
    """Whether a stored value has everything that was sent.

    The server may replace null by a default and an empty list by null, and change the order of variables.
    """
    if isinstance(sent, dict):
        return isinstance(stored, dict) and all(
            value is None or _contains(stored.get(key), value) for key, value in sent.items()
        )
    if isinstance(sent, list):
        pairs = zip(_by_name(stored or []), _by_name(sent), strict=False)
        return len(stored or []) == len(sent) and all(_contains(*pair) for pair in pairs)
    return bool(sent == stored)


def _by_name(items: list[Any]) -> list[Any]:
    """Sort what has names. The order of everything else is kept."""
    return sorted(items, key=lambda item: str(item.get("name")) if isinstance(item, dict) else "")
