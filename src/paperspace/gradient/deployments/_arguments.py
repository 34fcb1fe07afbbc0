"""Validation of arguments, before anything is sent. Every problem is reported at once.

Each check yields the problems of one argument; `require` raises one error for all of them.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from paperspace.gradient._shared.ids import is_uuid
from paperspace.gradient._shared.problems import Problem, hide_unless_plain, join_problems
from paperspace.gradient._shared.snapshots import snapshot
from paperspace.gradient._shared.spec_rules import MAX_INT, name_problems, surrogate_problems, text_problems
from paperspace.gradient._spec.checks import check_spec, in_plain_types, invalid_spec
from paperspace.gradient.config import is_timeout
from paperspace.gradient.errors import InvalidArgumentError, InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from paperspace.gradient._generated.inputs import CreateDeploymentInput, UpdateDeploymentInput
    from paperspace.gradient.types import DeploymentSpecInput

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def require(*checks: Iterable[Problem]) -> None:
    """Raise one error for all problems that the checks yield, if any.

    Raises:
        InvalidSpecError: The spec has a problem.
        InvalidArgumentError: Only other arguments have problems.
    """
    problems = [problem for check in checks for problem in check]
    if not problems:
        return
    in_spec = [problem.path[0] == "spec" for problem in problems]
    if all(in_spec):
        raise invalid_spec(problems)
    error = InvalidSpecError if any(in_spec) else InvalidArgumentError
    title = "" if len(problems) == 1 else "invalid arguments"
    raise error(join_problems(title, [str(problem) for problem in problems]), problems=problems)


def check_name(value: object) -> Iterator[Problem]:
    """Yield the problems of a deployment's name."""
    if isinstance(value, str):
        yield from name_problems(value)
    else:
        yield Problem(("name",), hide_unless_plain(value), "a string")


def check_id(value: object, argument: str = "id") -> Iterator[Problem]:
    """Yield the problems of the id of a deployment or a spec."""
    if not is_uuid(value):
        example = "d4e74a9c-b125-4bd7-b143-8f5c386df8a9"
        yield Problem((argument,), hide_unless_plain(value), f"a UUID such as {example!r}")


def check_target(id: object, name: object, project_id: object) -> Iterator[Problem]:
    """Yield the problems of what identifies a deployment: either its id, or its name and perhaps its project."""
    if id is None and name is None:
        yield Problem(("id",), None, "an id, or name=")
    elif id is None:
        yield from check_text(name, "name")
        yield from check_optional_text(project_id, "project_id")
    else:
        for problem in check_id(id):
            hint = "pass a name as name=" if isinstance(id, str) and id.strip() else ""
            yield problem._replace(hint=hint)
        for argument, value in (("name", name), ("project_id", project_id)):
            if value is not None:
                yield Problem((argument,), hide_unless_plain(value), "no value, because an id is passed")


def check_text(value: object, argument: str) -> Iterator[Problem]:
    """Yield the problems of a string that must not be empty."""
    if not isinstance(value, str) or not value.strip():
        yield Problem((argument,), hide_unless_plain(value), "a non-empty string")
    else:
        yield from text_problems(value, (argument,))
        yield from surrogate_problems(value, (argument,))


def check_optional_text(value: object, argument: str) -> Iterator[Problem]:
    """Yield the problems of a string that must not be empty, or None."""
    if value is not None:
        yield from check_text(value, argument)


def check_count(value: object, argument: str, minimum: int = 0) -> Iterator[Problem]:
    """Yield the problems of a number of things, such as deployments or seconds."""
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= MAX_INT:
        yield Problem((argument,), hide_unless_plain(value), f"an integer, {minimum} or more")


def check_optional_count(value: object, argument: str, minimum: int = 0) -> Iterator[Problem]:
    """Yield the problems of a number of things, or None."""
    if value is not None:
        yield from check_count(value, argument, minimum)


def check_timeout(value: object, argument: str = "timeout") -> Iterator[Problem]:
    """Yield the problems of a timeout."""
    if not is_timeout(value):
        yield Problem((argument,), hide_unless_plain(value), "a number of seconds above 0")


def check_since(value: object) -> Iterator[Problem]:
    """Yield the problems of a point in time: a datetime, a text that `parse_since` reads, or None."""
    if value is None or isinstance(value, datetime):
        return
    if isinstance(value, str):
        with suppress(ValueError):
            parse_since(value)
            return
    expected = "a datetime, a time such as '2024-05-17T09:30', or a duration such as '10m'"
    yield Problem(("since",), hide_unless_plain(value), expected)


def parse_since(value: datetime | str) -> datetime | timedelta:
    """Return what a text means: a time in ISO 8601, or the duration that has passed since then, such as `10m`.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(value, datetime):
        return value
    number, unit = value[:-1], value[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()):
        return datetime.fromisoformat(value)
    try:
        return timedelta(**{_UNITS[unit]: int(number)})
    except OverflowError:
        raise ValueError("the duration is too long") from None


def check_filters(name: object, project_id: object, cluster_id: object, first: object) -> Iterator[Problem]:
    """Yield the problems of the filters of a list, each of which may be None."""
    yield from check_optional_text(name, "name")
    yield from check_optional_text(project_id, "project_id")
    yield from check_optional_text(cluster_id, "cluster_id")
    yield from check_optional_count(first, "first")


def create_input(
    name: str,
    project_id: str,
    spec: DeploymentSpecInput | dict[str, Any],
    cluster_id: str | None,
    others: Iterable[Problem] = (),
) -> CreateDeploymentInput:
    """Validate the arguments of a create, and return its input. `others` are the problems of other arguments.

    Raises:
        InvalidArgumentError: An argument is invalid; the message lists every problem.
    """
    spec = snapshot(spec)
    require(
        check_name(name),
        check_text(project_id, "project_id"),
        check_spec(spec),
        check_optional_text(cluster_id, "cluster_id"),
        others,
    )
    values: CreateDeploymentInput = {"name": name, "projectId": project_id, "spec": in_plain_types(spec)}
    if cluster_id is not None:
        values["clusterId"] = cluster_id
    return values


def update_input(
    name: str | None,
    project_id: str | None,
    spec: DeploymentSpecInput | dict[str, Any] | None,
    cluster_id: str | None,
    id: str | None,
    others: Iterable[Problem] = (),
) -> UpdateDeploymentInput:
    """Validate the arguments of an update, and return its input. `others` are the problems of other arguments.

    Without an id, name and project only serve to find the deployment; they and the id are left out of the input.

    Raises:
        InvalidArgumentError: An argument is invalid, or there is nothing to change; the message lists every problem.
    """
    spec = snapshot(spec)
    by_name = project_id is not None and (isinstance(spec, dict) or (spec is None and isinstance(cluster_id, str)))
    if id is None and is_uuid(name) and not by_name:
        raise InvalidArgumentError(
            "update_deployment: the first positional argument is the name, got an id; pass the id as id="
        )
    if id is None and (name is None or project_id is None):
        raise InvalidArgumentError("update_deployment: pass name and project_id, or id, to identify the deployment")
    require(
        () if id is None else check_id(id),
        () if name is None else check_name(name),
        check_optional_text(project_id, "project_id"),
        () if spec is None else check_spec(spec),
        check_optional_text(cluster_id, "cluster_id"),
        others,
    )
    candidates: dict[str, object] = {"spec": spec and in_plain_types(spec), "clusterId": cluster_id}
    if id is not None:
        candidates |= {"name": name, "projectId": project_id}
    changes = {key: value for key, value in candidates.items() if value is not None}
    if not changes:
        missing = "a spec" if id is None else "a spec, a name, a project_id or a cluster_id"
        raise InvalidArgumentError(f"update_deployment: nothing to change; pass {missing}")
    return cast("UpdateDeploymentInput", changes if id is None else {"id": id, **changes})
