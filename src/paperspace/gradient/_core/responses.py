"""Answers of the server: the GraphQL result in one, or what it says went wrong, as one of our errors with its fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import ExecutionResult
from pydantic_core import from_json

from paperspace.gradient import errors
from paperspace.gradient._core.failures import AttemptFailed, Meaning
from paperspace.gradient._core.retry import FailureKind, parse_retry_after
from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient._shared.problems import shorten

if TYPE_CHECKING:
    from collections.abc import Mapping


class Reply(ExecutionResult):
    """A GraphQL answer together with the status and the headers that came with this very answer.

    Attributes:
        shape: The shape that the data are known to have. None: they were not looked at yet.
    """

    __slots__ = ("headers", "shape", "status")

    def __init__(
        self,
        data: dict[str, Any] | None,
        error_list: list[Any] | None,
        status: int,
        headers: Mapping[str, str],
        *,
        shape: object = None,
    ) -> None:
        super().__init__(data, error_list)
        self.status = status
        self.headers = headers
        self.shape = shape

    def __repr__(self) -> str:
        return f"Reply(status={self.status})"  # tools that show local variables would show all that the server said


_BAD_REQUEST = Meaning(errors.BadRequestError, FailureKind.FINAL)

# What a GraphQL error code means, as far as it is known.
_BY_CODE: dict[str, Meaning] = {
    Code.UNAUTHENTICATED: Meaning(errors.AuthenticationError, FailureKind.FINAL),
    Code.FORBIDDEN: Meaning(errors.PermissionDeniedError, FailureKind.FINAL),
    Code.NOT_FOUND: Meaning(errors.NotFoundError, FailureKind.FINAL),
    Code.CONFLICT: Meaning(errors.ConflictError, FailureKind.FINAL),
    Code.BAD_USER_INPUT: _BAD_REQUEST,
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
_NO_FINAL_STATUS = Meaning(errors.MalformedResponseError, FailureKind.BROKEN)
_UNKNOWN_CLIENT_STATUS = Meaning(errors.APIStatusError, FailureKind.FINAL)
_UNKNOWN_SERVER_STATUS = Meaning(errors.APIStatusError, FailureKind.DOUBTFUL)

_OK = range(200, 300)
_REDIRECTION = range(300, 400)
_NOT_FOUND = 404
_SERVER_ERROR = 500

# The errors of an answer that a message tells of, from the first.
_MOST_ERRORS = 5
_LONGEST_MESSAGE = 2000


def read_reply(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """The GraphQL result in an HTTP answer.

    Raises:
        AttemptFailed: There is none, or the status says that it does not count.
    """
    if status in _REDIRECTION:
        facts = facts_of(status, headers)
        target = shorten(headers.get("Location", "an address that it does not name"))
        message = f"the server redirects to {target}; set api_url to the address that it really has"
        raise AttemptFailed(errors.RedirectError(message, **facts), FailureKind.FINAL)
    try:
        reply = _parse(status, headers, body)
    except ValueError as error:
        facts = facts_of(status, headers)
        if status not in _OK:
            message = f"the server answered with HTTP {status} and no GraphQL result{_hint(status)}"
            raise _failure(_meaning_of_status(status), message, facts) from None
        message = f"the answer is no GraphQL result: {error} ({_content(headers, body)})"
        raise AttemptFailed(errors.MalformedResponseError(message, **facts), FailureKind.BROKEN) from None
    if status not in _OK and not reply.errors:
        message = f"the server answered with HTTP {status}, so the data beside it do not count"
        raise _failure(_meaning_of_status(status), message, facts_of(status, headers))
    return reply


def check_errors(reply: Reply) -> dict[str, Any]:
    """The data of an answer without errors.

    Raises:
        AttemptFailed: It has errors, or no data.
    """
    listed: list[Any] = reply.errors or []
    if reply.data is not None and not listed:
        return reply.data
    facts = facts_of(reply.status, reply.headers)
    message = shorten("; ".join(_message(entry) for entry in listed[:_MOST_ERRORS]), _LONGEST_MESSAGE)
    if reply.data is not None and any(value is not None for value in reply.data.values()):
        partial = errors.PartialResultError(f"a part failed: {message}", **facts)
        partial.data = reply.data
        raise AttemptFailed(partial, FailureKind.DOUBTFUL)
    extensions = listed[0].get("extensions")
    extensions = extensions if isinstance(extensions, dict) else {}
    code = extensions.get("code")
    code = shorten(code) if isinstance(code, str) else None
    meaning = _UNKNOWN_CODE if code is None else _BY_CODE.get(code, _UNKNOWN_CODE)
    if reply.status not in _OK and (meaning is _UNKNOWN_CODE or reply.status == _NOT_FOUND):
        # HTTP's 404 is about the address, whatever the code beside it says.
        meaning = _meaning_of_status(reply.status)
        message = message.removesuffix(".") + _hint(reply.status)
    if extensions.get("retryable") is True:
        meaning = meaning._replace(kind=FailureKind.REFUSED)
    raise _failure(meaning, message, {**facts, "code": code})


def _parse(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """The result in a body; raises a ValueError that says what is wrong with it."""
    if not body:
        raise ValueError("it is empty")
    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise ValueError(f"it is not JSON, {error}") from None
    if not isinstance(content, dict):
        raise ValueError("it is JSON, but no object")  # noqa: TRY004  # the answer is wrong, no argument
    data, listed = content.get("data"), content.get("errors")
    if data is not None and not isinstance(data, dict):
        raise ValueError("`data` is no object")
    if listed is not None and not (isinstance(listed, list) and all(isinstance(entry, dict) for entry in listed)):
        raise ValueError("`errors` is no list of objects")
    if data is None and not listed:
        raise ValueError("it has neither `data` nor `errors`")
    return Reply(data, listed, status, headers)


def _meaning_of_status(status: int) -> Meaning:
    if status < _OK.start:
        return _NO_FINAL_STATUS
    return _BY_STATUS.get(status, _UNKNOWN_SERVER_STATUS if status >= _SERVER_ERROR else _UNKNOWN_CLIENT_STATUS)


def _failure(meaning: Meaning, message: str, facts: dict[str, Any]) -> AttemptFailed:
    return AttemptFailed(meaning.error(message, **facts), meaning.kind)


def facts_of(status: int, headers: Mapping[str, str]) -> dict[str, Any]:
    """What an answer says of itself, as an error keeps it."""
    request_id = headers.get("X-Request-Id")
    return {
        "status": status,
        "request_id": request_id and shorten(request_id),
        "retry_after": parse_retry_after(headers.get("Retry-After"), headers.get("Date")),
    }


def _hint(status: int) -> str:
    return {
        401: "; the API key was not accepted",
        404: "; is api_url complete, with /graphql at its end?",
        413: "; what was sent is too large for it",
    }.get(status, "")


def _content(headers: Mapping[str, str], body: bytes) -> str:
    kind = shorten(headers.get("Content-Type", "no content type"))
    return f"{kind}, {shorten(repr(body[:200].decode(errors='replace')), 120)}"


def _message(entry: dict[str, Any]) -> str:
    """A GraphQL error's message."""
    message = entry.get("message")
    return message if isinstance(message, str) and message else "the server gave no reason"
