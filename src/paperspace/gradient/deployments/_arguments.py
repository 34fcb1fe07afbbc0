"""Looks at arguments before anything is sent, and lists every bad place at once.

Each function yields what is wrong with one argument; `require` raises one error for all of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from paperspace.gradient._shared.problems import Problem, abbreviate, join_problems
from paperspace.gradient._shared.spec_rules import MAX_INT, name_problems, surrogate_problems
from paperspace.gradient._spec.checks import check_spec, copy_of, invalid_spec
from paperspace.gradient.errors import InvalidArgumentError, InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from paperspace.gradient._generated.inputs import CreateDeploymentInput, UpdateDeploymentInput
    from paperspace.gradient.types import DeploymentSpecInput

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def require(*arguments: Iterable[Problem]) -> None:
    """Raises one error for all the problems of the arguments, if there are any.

    Raises:
        InvalidSpecError: The spec has some.
        InvalidArgumentError: Only other arguments have some.
    """
    problems = [problem for argument in arguments for problem in argument]
    if not problems:
        return
    if all(problem.path[0] == "spec" for problem in problems):
        raise invalid_spec(problems)
    error = InvalidSpecError if any(problem.path[0] == "spec" for problem in problems) else InvalidArgumentError
    title = "" if len(problems) == 1 else "invalid arguments"
    raise error(join_problems(title, [str(problem) for problem in problems]), problems=problems)


def deployment_name(value: object) -> Iterator[Problem]:
    """What is wrong with the name of a deployment."""
    if isinstance(value, str):
        yield from name_problems(value)
    else:
        yield Problem(("name",), abbreviate(value), "a string")


def identifier(value: object, argument: str = "id") -> Iterator[Problem]:
    """What is wrong with the id of a deployment, or of a spec."""
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        example = "d4e74a9c-b125-4bd7-b143-8f5c386df8a9"
        yield Problem((argument,), abbreviate(value), f"a UUID such as {example!r}")


def text(value: object, argument: str) -> Iterator[Problem]:
    """What is wrong with an argument that has to say something."""
    if not isinstance(value, str) or not value.strip():
        yield Problem((argument,), abbreviate(value), "a non-empty string")
    yield from surrogate_problems(value, (argument,))


def optional_text(value: object, argument: str) -> Iterator[Problem]:
    """The same, where None says nothing."""
    if value is not None:
        yield from text(value, argument)


def count(value: object, argument: str) -> Iterator[Problem]:
    """What is wrong with an argument that counts."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_INT:
        yield Problem((argument,), abbreviate(value), "an integer, 0 or more")


def filters(name: object, project_id: object, cluster_id: object, first: object) -> Iterator[Problem]:
    """What is wrong with the conditions of a list, each of which may be None."""
    yield from optional_text(name, "name")
    yield from optional_text(project_id, "project_id")
    yield from optional_text(cluster_id, "cluster_id")
    if first is not None:
        yield from count(first, "first")


def create_input(
    name: str, project_id: str, spec: DeploymentSpecInput, cluster_id: str | None
) -> CreateDeploymentInput:
    """The deployment as it is to be.

    Raises:
        InvalidArgumentError: Something cannot be right; every bad place is listed.
    """
    require(
        deployment_name(name),
        text(project_id, "project_id"),
        check_spec(spec),
        optional_text(cluster_id, "cluster_id"),
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
    require(
        () if id is None else identifier(id),
        () if name is None else deployment_name(name),
        optional_text(project_id, "project_id"),
        () if spec is None else check_spec(spec),
        optional_text(cluster_id, "cluster_id"),
    )
    changes: dict[str, object] = {"spec": spec and copy_of(spec), "clusterId": cluster_id}
    if id is not None:
        changes |= {"name": name, "projectId": project_id}
    given = {key: value for key, value in changes.items() if value is not None}
    if not given:
        raise InvalidArgumentError("update_deployment has nothing to change: give a spec")
    return cast("UpdateDeploymentInput", given if id is None else {"id": id, **given})  # else the search finds the id
