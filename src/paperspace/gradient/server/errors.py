"""Errors that resolvers and the store report to the caller."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from paperspace.gradient._shared.error_codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paperspace.gradient._shared.problems import Problem

# People fix a few problems at a time; a response that lists thousands helps nobody.
_MAX_PROBLEMS = 20


class ApplicationError(Exception):
    """An error whose message and extensions are sent to the caller.

    Resolvers and the store raise it, and the checks of variables. Errors of a whole GraphQL request are `graphql.documents.GraphQLRequestError`, errors
    of an HTTP request `http.request_errors.HTTPRequestError`.
    """

    def __init__(self, code: Code, message: str, **details: object) -> None:
        super().__init__(message)
        # graphql-core copies the attribute of this name into the error of the response.
        self.extensions = {"code": code, **details}


class StoppedError(Exception):
    """The server stopped before the end of the work. Nothing was changed."""


def raise_for_problems(problems: Iterable[Problem], *, show_values: bool = True) -> None:
    """Return if there are no problems; otherwise raise one error that lists them.

    Raises:
        ApplicationError: there is a problem.
    """
    listed = [
        {"path": problem.field, "expected": problem.expected, "message": problem.describe(show_value=show_values)}
        for problem in islice(problems, _MAX_PROBLEMS)
    ]
    if listed:
        message = "; ".join(problem["message"] for problem in listed)
        raise ApplicationError(Code.BAD_USER_INPUT, message, path=listed[0]["path"], problems=listed)
