"""What the server says when it will not do what it was asked."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from paperspace.gradient._shared.error_codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paperspace.gradient._shared.problems import Problem

# A caller mends a few places at a time; a reply that lists thousands helps nobody.
_MOST_PROBLEMS = 20


class Refusal(Exception):  # noqa: N818 - it is an answer, and no fault of the program
    """An answer that is an error, in words that the caller may see."""

    def __init__(self, code: Code, message: str, **facts: object) -> None:
        super().__init__(message)
        # graphql-core copies the attribute of this name into the error of the reply.
        self.extensions = {"code": code, **facts}


def refuse(problems: Iterable[Problem], *, show_values: bool = True) -> None:
    """Returns if there are no problems; otherwise refuses with all the bad places.

    Raises:
        Refusal: There is a problem.
    """
    listed = [
        {"path": problem.field, "expected": problem.expected, "message": problem.describe(show_value=show_values)}
        for problem in islice(problems, _MOST_PROBLEMS)
    ]
    if listed:
        message = "; ".join(problem["message"] for problem in listed)
        raise Refusal(Code.BAD_USER_INPUT, message, path=listed[0]["path"], problems=listed)
