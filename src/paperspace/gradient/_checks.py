"""Looks at arguments before anything is sent, and lists every bad place at once.

Each function yields what is wrong with one argument; `require` raises one error for all of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from paperspace.gradient._base.rules import LARGEST, Problem, abbreviated, listed, name_problems, torn_problems
from paperspace.gradient.errors import InvalidArgumentError, InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
        raise InvalidSpecError(listed("the spec cannot be right: ", problems), problems=problems)
    error = InvalidSpecError if any(problem.path[0] == "spec" for problem in problems) else InvalidArgumentError
    raise error(listed("" if len(problems) == 1 else "the call cannot be right: ", problems), problems=problems)


def name(value: object) -> Iterator[Problem]:
    """What is wrong with the name of a deployment."""
    if isinstance(value, str):
        yield from name_problems(value)
    else:
        yield Problem(("name",), abbreviated(value), "a string")


def identifier(value: object, argument: str = "id") -> Iterator[Problem]:
    """What is wrong with the id of a deployment, or of a spec."""
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        hint = "a string such as 'd4e74a9c-b125-4bd7-b143-8f5c386df8a9'"
        yield Problem((argument,), abbreviated(value), "a UUID", hint)


def text(value: object, argument: str) -> Iterator[Problem]:
    """What is wrong with an argument that has to say something."""
    if not isinstance(value, str) or not value.strip():
        yield Problem((argument,), abbreviated(value), "a string that is not empty")
    yield from torn_problems(value, (argument,))


def optional_text(value: object, argument: str) -> Iterator[Problem]:
    """The same, where None says nothing."""
    if value is not None:
        yield from text(value, argument)


def count(value: object, argument: str) -> Iterator[Problem]:
    """What is wrong with an argument that counts."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST:
        yield Problem((argument,), abbreviated(value), "a whole number, 0 or more")


def filters(name: object, project_id: object, cluster_id: object, first: object) -> Iterator[Problem]:
    """What is wrong with the conditions of a list, each of which may be None."""
    yield from optional_text(name, "name")
    yield from optional_text(project_id, "project_id")
    yield from optional_text(cluster_id, "cluster_id")
    if first is not None:
        yield from count(first, "first")
