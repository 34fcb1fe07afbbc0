"""Responses to GraphQL requests: the outcome, what the caller may see of errors, and the JSON text."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from graphql import GraphQLError

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient._shared.random_uuid import random_uuid
from paperspace.gradient._shared.secrets import without_values
from paperspace.gradient.server.errors import ApplicationError
from paperspace.gradient.server.storage.database import storage_error

if TYPE_CHECKING:
    from graphql import ExecutionResult

_log = logging.getLogger(__name__)

_MAX_FIELD_ERRORS = 100  # an invalid argument can cause one error per item of a list

_CONTAINERS = (dict, list)

ErrorData = Mapping[str, Any]

encode = json.JSONEncoder(separators=(",", ":")).encode


class Outcome(Enum):
    """What happened to a request: the status of the response, and its status in application/json."""

    EXECUTED = (HTTPStatus.OK, HTTPStatus.OK)
    """Executed, perhaps with errors in fields. A mutation with errors was rolled back."""
    INVALID = (HTTPStatus.BAD_REQUEST, HTTPStatus.OK)
    """The document or the variables are invalid."""
    LIMIT_EXCEEDED = (HTTPStatus.BAD_REQUEST, HTTPStatus.BAD_REQUEST)
    """The document exceeds a limit, or its execution exceeds the budget. Nothing was changed."""
    METHOD_NOT_ALLOWED = (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.METHOD_NOT_ALLOWED)
    """A mutation by GET."""
    UNAVAILABLE = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE)
    """The database cannot be changed at present. Nothing was changed."""

    @property
    def status(self) -> HTTPStatus:
        """The status of the response in application/graphql-response+json."""
        return self.value[0]

    @property
    def json_status(self) -> HTTPStatus:
        """The status of the response in application/json."""
        return self.value[1]


class Response(NamedTuple):
    """The body of a response, and what happened to the request.

    `key_checked` says that the request is a mutation, and that the response is what its idempotency key stands for: the
    saved result of an earlier attempt, or the result of this one, before which none was applied. `over_budget` says that
    the request needs more than its budget.
    """

    body: bytes
    outcome: Outcome
    key_checked: bool = False
    over_budget: bool = False


def response_of(result: ExecutionResult) -> Response:
    """Return the response for the result of an execution."""
    if not result.errors:
        return Response(serialize({"data": result.data}), Outcome.EXECUTED)
    errors = [_describe_field_error(error) for error in result.errors[:_MAX_FIELD_ERRORS]]
    return Response(serialize({"errors": errors, "data": result.data}), Outcome.EXECUTED)


def error_response(errors: Sequence[ErrorData], outcome: Outcome) -> Response:
    """Return the response for a request that was not executed."""
    return Response(serialize({"errors": errors}), outcome)


def _describe_field_error(error: GraphQLError) -> ErrorData:
    """Return what the caller may see of an error during execution."""
    cause = error.original_error
    if application_error := storage_error(cause):
        return {**error.formatted, "message": str(application_error), "extensions": application_error.extensions}
    if isinstance(cause, ApplicationError):
        return error.formatted
    if isinstance(cause, GraphQLError) and cause.nodes:
        # graphql-core's own error: a variable made the argument that holds it invalid.
        return with_code(error, Code.BAD_USER_INPUT)
    return {**error.formatted, **internal_error(cause or error)}


def internal_error(error: BaseException) -> ErrorData:
    """Log the traceback of a bug; return an error for the caller, which has only the id of the log record."""
    id_ = str(random_uuid())
    _log.error("internal error %s", id_, exc_info=error)
    extensions = {"code": Code.INTERNAL_SERVER_ERROR, "id": id_}
    return {"message": f"internal error {id_}", "extensions": extensions}


def error_data(message: str, code: Code) -> ErrorData:
    """Return an error with a message of ours."""
    return {"message": message, "extensions": {"code": code}}


def with_code(error: GraphQLError, code: Code) -> ErrorData:
    """Return an error of graphql-core with a code, and without the values that its message quotes."""
    return {**error.formatted, "message": without_values(error.message), "extensions": {"code": code}}


def serialize(body: Mapping[str, Any]) -> bytes:
    """Return the body of a response as JSON text."""
    parts: list[str] = []
    _add_parts(parts.append, body, depth=8)
    return "".join(parts).encode()


def _add_parts(add: Callable[[str], None], value: Any, depth: int) -> None:
    """Add the JSON text of a value in parts, which are small if its lists are at most `depth` levels below it.

    The encoder does not let other threads run.
    """
    if depth and isinstance(value, dict) and any(isinstance(item, _CONTAINERS) for item in value.values()):
        separator = "{"
        for key, item in cast("dict[str, Any]", value).items():
            add(f"{separator}{encode(key)}:")
            _add_parts(add, item, depth - 1)
            separator = ","
        add("}")
    elif depth and isinstance(value, list) and value:
        separator = "["
        for item in value:
            add(separator)
            _add_parts(add, item, depth - 1)
            separator = ","
        add("]")
    else:
        add(encode(value))
