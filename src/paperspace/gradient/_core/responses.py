"""HTTP responses: the GraphQL result in one, or what it says went wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from graphql import ExecutionResult
from pydantic_core import from_json

from paperspace.gradient import errors
from paperspace.gradient._core.failures import AttemptFailed, Meaning, ResponseFacts
from paperspace.gradient._core.retry import FailureKind, parse_retry_after
from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient._shared.problems import shorten
from paperspace.gradient._shared.secrets import hide_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class HTTPResponse(NamedTuple):
    """A complete HTTP response, decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"HTTPResponse(status={self.status})"  # tools that show local variables must not show its content

    def facts(self, code: str | None = None) -> ResponseFacts:
        """Return what the response says about itself, for an error."""
        request_id = self.headers.get("X-Request-Id")
        retry_after = parse_retry_after(self.headers.get("Retry-After"), self.headers.get("Date"))
        return ResponseFacts(self.status, code, request_id and shorten(request_id), retry_after)


_BAD_REQUEST = Meaning(errors.BadRequestError, FailureKind.FINAL)

# What a GraphQL error code means.
_BY_CODE: dict[str, Meaning] = {
    Code.UNAUTHENTICATED: Meaning(errors.AuthenticationError, FailureKind.FINAL),
    Code.FORBIDDEN: Meaning(errors.PermissionDeniedError, FailureKind.FINAL),
    Code.NOT_FOUND: Meaning(errors.NotFoundError, FailureKind.FINAL),
    Code.CONFLICT: Meaning(errors.ConflictError, FailureKind.FINAL),
    Code.BAD_USER_INPUT: _BAD_REQUEST,
    Code.BUDGET_EXCEEDED: _BAD_REQUEST,
    Code.GRAPHQL_PARSE_FAILED: _BAD_REQUEST,
    Code.GRAPHQL_VALIDATION_FAILED: _BAD_REQUEST,
    "BAD_REQUEST": _BAD_REQUEST,
    "OPERATION_RESOLUTION_FAILURE": _BAD_REQUEST,
    "PERSISTED_QUERY_NOT_FOUND": _BAD_REQUEST,
    "PERSISTED_QUERY_NOT_SUPPORTED": _BAD_REQUEST,
    Code.RATE_LIMITED: Meaning(errors.RateLimitError, FailureKind.REFUSED),
    Code.INSUFFICIENT_STORAGE: Meaning(errors.ServerError, FailureKind.FINAL),
}
_UNKNOWN_CODE = Meaning(errors.ServerError, FailureKind.DOUBTFUL)

# What an HTTP status means.
_BY_STATUS: dict[int, Meaning] = {
    400: _BAD_REQUEST,
    401: Meaning(errors.AuthenticationError, FailureKind.FINAL),
    403: Meaning(errors.PermissionDeniedError, FailureKind.FINAL),
    404: Meaning(errors.EndpointNotFoundError, FailureKind.FINAL),
    408: Meaning(errors.APIStatusError, FailureKind.LOST),
    409: Meaning(errors.ConflictError, FailureKind.FINAL),
    413: _BAD_REQUEST,
    422: _BAD_REQUEST,
    425: Meaning(errors.APIStatusError, FailureKind.LOST),
    429: Meaning(errors.RateLimitError, FailureKind.REFUSED),
    500: Meaning(errors.ServerError, FailureKind.CRASHED),
    502: Meaning(errors.APIStatusError, FailureKind.LOST),
    503: Meaning(errors.ServerError, FailureKind.LOST),
    504: Meaning(errors.APIStatusError, FailureKind.LOST),
}
_INFORMATIONAL_STATUS = Meaning(errors.MalformedResponseError, FailureKind.BROKEN)
_UNKNOWN_CLIENT_STATUS = Meaning(errors.APIStatusError, FailureKind.FINAL)
_UNKNOWN_SERVER_STATUS = Meaning(errors.APIStatusError, FailureKind.DOUBTFUL)

# What to do about a status.
_HINTS = {
    401: "; the API key was not accepted",
    404: "; does the API URL end with /graphql?",
    413: "; the request is too large",
}

_OK = range(200, 300)
_REDIRECTION = range(300, 400)
_NOT_FOUND = 404
_SERVER_ERROR = 500

# What servers say about an operation that their schema does not allow, in the words of GraphQL's reference implementation.
_OTHER_SCHEMA = re.compile(
    r"Cannot query field |Unknown (argument|type) |Variable \S+ of type .* used in position |"
    r"(Argument|Field) \S+ .*(is required|have a selection)|Fragment \S+ cannot be spread "
)
_UNKNOWN_FIELD = re.compile(r"""Cannot query field ["'](\w+)["'] on type """)
_OTHER_SCHEMA_HINT = "; to compare the server's schema with that of the library, run `gradient schema diff`"

# How many GraphQL errors a message shows, and how long it may be.
_MAX_ERRORS = 5
_MAX_MESSAGE = 2000


def parse_result(response: HTTPResponse) -> ExecutionResult:
    """Parse the GraphQL result in a response.

    Raises:
        AttemptFailed: There is no GraphQL result, or it does not count because of the status.
    """
    status = response.status
    if status in _REDIRECTION:
        target = shorten(hide_credentials(response.headers.get("Location", "another URL")))
        message = f"the server redirects to {target}; set the API URL to that URL"
        raise AttemptFailed(errors.RedirectError, message, FailureKind.FINAL, response.facts())
    try:
        result = _parse_body(response.body)
    except ValueError as error:
        if status not in _OK:
            message = f"HTTP status {status} without a GraphQL result{_HINTS.get(status, '')}"
            raise _failure(_meaning_of_status(status), message, response) from None
        message = f"the response is not a GraphQL result: {error} ({_excerpt(response)})"
        raise AttemptFailed(errors.MalformedResponseError, message, FailureKind.BROKEN, response.facts()) from None
    if status not in _OK and not result.errors:
        message = f"HTTP status {status}; the data in the response is ignored"
        raise _failure(_meaning_of_status(status), message, response)
    return result


def data_of(result: ExecutionResult, response: HTTPResponse, *, valid: bool) -> dict[str, Any]:
    """Return the data of a GraphQL result.

    Args:
        result: The result.
        response: The response that it is from.
        valid: Whether the operation is known to be valid in the pinned schema.

    Raises:
        AttemptFailed: The result has errors, or no data.
    """
    graphql_errors: list[Any] = result.errors or []
    if result.data is not None and not graphql_errors:
        return result.data
    message = shorten("; ".join(_message_of(error) for error in graphql_errors[:_MAX_ERRORS]), _MAX_MESSAGE)
    if valid and any(_OTHER_SCHEMA.match(_message_of(error)[:_MAX_MESSAGE]) for error in graphql_errors[:_MAX_ERRORS]):
        message = message.removesuffix(".") + _OTHER_SCHEMA_HINT
    if result.data is not None and any(value is not None for value in result.data.values()):
        message = f"a part of the request failed: {message}"
        raise AttemptFailed(
            errors.PartialResultError, message, FailureKind.DOUBTFUL, response.facts(), data=result.data
        )
    extensions = graphql_errors[0].get("extensions")
    extensions = extensions if isinstance(extensions, dict) else {}
    code = extensions.get("code")
    code = shorten(code) if isinstance(code, str) else None
    meaning = _UNKNOWN_CODE if code is None else _BY_CODE.get(code, _UNKNOWN_CODE)
    if response.status not in _OK and (meaning is _UNKNOWN_CODE or response.status == _NOT_FOUND):
        # HTTP 404 is about the URL, whatever the GraphQL error code is.
        meaning = _meaning_of_status(response.status)
        message = message.removesuffix(".") + _HINTS.get(response.status, "")
    if extensions.get("retryable") is True:
        meaning = meaning._replace(kind=FailureKind.REFUSED)
    facts, unknown = response.facts(code), unknown_fields(map(_message_of, graphql_errors))
    raise AttemptFailed(meaning.error_class, message, meaning.kind, facts, unknown_fields=unknown)


def unknown_fields(messages: Iterable[str]) -> frozenset[str]:
    """Return the fields of an operation that a schema does not have, from the messages of the errors of its validation."""
    return frozenset(match[1] for message in messages if (match := _UNKNOWN_FIELD.match(message[:_MAX_MESSAGE])))


def _parse_body(body: bytes) -> ExecutionResult:
    """Parse a body. Raises a ValueError that says what is wrong with it."""
    if not body:
        raise ValueError("the body is empty")
    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise ValueError(f"invalid JSON, {error}") from None
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  # the response is wrong, not an argument
    data, graphql_errors = content.get("data"), content.get("errors")
    if data is not None and not isinstance(data, dict):
        raise ValueError("`data` is not an object")
    if graphql_errors is not None and not (
        isinstance(graphql_errors, list) and all(isinstance(error, dict) for error in graphql_errors)
    ):
        raise ValueError("`errors` is not a list of objects")
    if data is None and not graphql_errors:
        raise ValueError("it has neither `data` nor `errors`")
    return ExecutionResult(data, graphql_errors)


def _meaning_of_status(status: int) -> Meaning:
    if status < _OK.start:
        return _INFORMATIONAL_STATUS
    return _BY_STATUS.get(status, _UNKNOWN_SERVER_STATUS if status >= _SERVER_ERROR else _UNKNOWN_CLIENT_STATUS)


def _failure(meaning: Meaning, message: str, response: HTTPResponse) -> AttemptFailed:
    return AttemptFailed(meaning.error_class, message, meaning.kind, response.facts())


def _excerpt(response: HTTPResponse) -> str:
    """Return the start of a body that is not of the API, such as a page of HTML. What looks like JSON may be a spec."""
    content_type = shorten(response.headers.get("Content-Type", "no content type"))
    if response.body.lstrip()[:1] in {b"{", b"["}:
        return f"{content_type}, {len(response.body)} bytes"
    return f"{content_type}, {shorten(repr(response.body[:600].decode(errors='replace')), 120)}"


def _message_of(error: dict[str, Any]) -> str:
    """Return the message of a GraphQL error."""
    message = error.get("message")
    return message if isinstance(message, str) and message else "the server sent no error message"
