"""Errors that several functions raise, and errors built from other errors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient.errors import APIError, BadRequestError, ConflictError, GradientError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from paperspace.gradient.types import DeploymentStatus

E = TypeVar("E", bound=GradientError)


def part_not_found(resource: Literal["spec", "instance"], message: str, operation: str) -> NotFoundError:
    """Return the error for a spec or an instance that a deployment does not have."""
    error = NotFoundError(message, operation=operation)
    error.resource = resource
    return error


def spec_replaced(status: DeploymentStatus, spec_id: str, operation: str) -> ConflictError:
    """Return the error for a spec that is not the newest of its deployment."""
    replaced = f"spec {spec_id} of deployment {status['name']} ({status['id']}) is not the newest"
    return ConflictError(f"{replaced}: another change added spec {status['specId']}", operation=operation)


def name_taken(rejection: APIError, name: str, project_id: str | None, **facts: object) -> ConflictError:
    """Return the conflict that a server did not report as one.

    Args:
        rejection: The server's error, which has all other facts.
        name: The name that another deployment has.
        project_id: The project. None: not known.
        facts: The facts that differ, such as `attempts`.
    """
    project = f" in project {project_id!r}" if project_id is not None else ""
    conflict = ConflictError(f"{rejection.args[0]} (another deployment is named {name!r}{project})")
    vars(conflict).update({**vars(rejection), **facts})
    return conflict


def rebuilt(error: E, message: str | None = None, **facts: object) -> E:
    """Return an error of the same class with all facts of this one, except those given here.

    Args:
        error: The error to take the class and the facts from. It is not changed: raise the result `from` it.
        message: Another message. None: the same.
        facts: The facts that differ, such as `attempts`.
    """
    new = type(error)(str(error.args[0]) if message is None else message)
    vars(new).update({**vars(error), **facts})
    return new


@contextmanager
def naming_what_is_missing(what: str) -> Iterator[None]:
    """Say in the error of a query that the server does not know what is missing, such as `events`."""
    try:
        yield
    except BadRequestError as error:
        if error.code != Code.GRAPHQL_VALIDATION_FAILED:
            raise
        raise rebuilt(error, f"this server has no {what} of deployments: {error.args[0]}") from error
