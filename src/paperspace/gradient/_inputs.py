"""From the arguments of a function to the input of its mutation, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from paperspace.gradient import _checks
from paperspace.gradient._spec_checks import check_spec, copy_of
from paperspace.gradient.errors import InvalidArgumentError

if TYPE_CHECKING:
    from paperspace.gradient._generated.inputs import CreateDeploymentInput, UpdateDeploymentInput
    from paperspace.gradient.types import DeploymentSpecInput


def create_input(
    name: str, project_id: str, spec: DeploymentSpecInput, cluster_id: str | None
) -> CreateDeploymentInput:
    """The deployment as it is to be.

    Raises:
        InvalidArgumentError: Something cannot be right; every bad place is listed.
    """
    _checks.require(
        _checks.name(name),
        _checks.text(project_id, "project_id"),
        check_spec(spec),
        _checks.optional_text(cluster_id, "cluster_id"),
    )
    values: CreateDeploymentInput = {"name": name, "projectId": project_id, "spec": copy_of(spec)}
    if cluster_id is not None:
        values["clusterId"] = cluster_id
    return values


def update_input(
    name: str | None,
    project_id: str | None,
    spec: DeploymentSpecInput | None,
    cluster_id: str | None,
    id: str | None,
) -> UpdateDeploymentInput:
    """What is to change. Without an id, name and project are for the search only, and left out.

    Raises:
        InvalidArgumentError: Something cannot be right, or there is nothing to change; every bad place is listed.
    """
    if id is None and (name is None or project_id is None):
        raise InvalidArgumentError("update_deployment needs to know which one: give name and project_id, or id=")
    _checks.require(
        () if id is None else _checks.identifier(id),
        () if name is None else _checks.name(name),
        _checks.optional_text(project_id, "project_id"),
        () if spec is None else check_spec(spec),
        _checks.optional_text(cluster_id, "cluster_id"),
    )
    changes: dict[str, object] = {"spec": spec and copy_of(spec), "clusterId": cluster_id}
    if id is not None:
        changes |= {"name": name, "projectId": project_id}
    given = {key: value for key, value in changes.items() if value is not None}
    if not given:
        raise InvalidArgumentError("update_deployment has nothing to change: give a spec")
    return cast("UpdateDeploymentInput", given if id is None else {"id": id, **given})  # else the search finds the id
