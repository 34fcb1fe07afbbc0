"""The one place where what went wrong becomes one of our errors: exceptions of aiohttp, and answers of the server.

Each error carries its fault, from which the retry rule decides. Nothing here sends, waits or remembers.
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from graphql import ExecutionResult
from pydantic_core import from_json

from paperspace.gradient import errors
from paperspace.gradient._base.codes import Code
from paperspace.gradient._base.rules import shorten
from paperspace.gradient._retry import Fault, parse_retry_after

if TYPE_CHECKING:
    from collections.abc import Mapping


class Failure(Exception):  # noqa: N818  # never leaves the library: the session raises the error in it
    """One request that failed: the error for the user, and the fault for the retry rule."""

    def __init__(self, error: errors.APIError, fault: Fault) -> None:
        super().__init__(error)
        self.error = error
        self.fault = fault


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


# ---------------------------------------------------------------------------------------------- exceptions of aiohttp


class _Meaning(NamedTuple):
    error: type[errors.APIError]
    fault: Fault


_NO_ANSWER = _Meaning(errors.APIConnectionError, Fault.LOST)

# What an exception means, most specific first. The fault is that of a request that was on its way.
_BY_EXCEPTION: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, _Meaning], ...] = (
    (
        (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError),
        "no secure connection to {host}: {reason}",
        _Meaning(errors.TLSError, Fault.FINAL),
    ),
    (
        (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError),
        "the address of {host}, or of the proxy on the way, cannot be used",
        _Meaning(errors.APIConnectionError, Fault.FINAL),
    ),
    (
        (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError),
        "the proxy on the way to {host} gave no connection: {reason}",
        _NO_ANSWER,
    ),
    (
        aiohttp.ClientResponseError,
        "what answered for {host} spoke no HTTP that could be read",
        _Meaning(errors.MalformedReplyError, Fault.LOST),
    ),
    (
        ContentEncodingError,
        "the answer of {host} cannot be decompressed",
        _Meaning(errors.MalformedReplyError, Fault.BROKEN),
    ),
    (aiohttp.ClientConnectorDNSError, "the host {host} was not found: {reason}", _NO_ANSWER),
    (
        aiohttp.ClientConnectorError,
        "no connection to {host}: {reason}; is the server running, and the address right?",
        _NO_ANSWER,
    ),
    (aiohttp.ConnectionTimeoutError, "no connection to {host} in time", _NO_ANSWER),
    (TimeoutError, "{host} did not answer in time", _Meaning(errors.APITimeoutError, Fault.LOST)),
    (Exception, "the connection to {host} broke: {reason}", _NO_ANSWER),
)

# How it shows that the server has closed a connection that was kept, before it read the request or while it did.
_STALE = (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError, aiohttp.ClientOSError)


def from_exception(error: Exception, url: str, *, sent: bool, reused: bool) -> Failure:
    """What an exception out of aiohttp means for a request to this address."""
    inner = error.__cause__ if isinstance(error, aiohttp.ClientPayloadError) else None
    error = inner if isinstance(inner, ContentEncodingError) else error
    text, meaning = next(row[1:] for row in _BY_EXCEPTION if isinstance(error, row[0]))
    fault = meaning.fault
    if fault is Fault.LOST and not sent:
        fault = Fault.NOT_SENT
    elif fault is Fault.LOST and reused and isinstance(error, _STALE):
        fault = Fault.STALE
    message = text.format(host=urlsplit(url).hostname, reason=_reason(error))
    return Failure(meaning.error(message), fault)


def presentable(error: BaseException) -> BaseException | None:
    """The exception as a cause that may be shown to anybody: without the frames and the request that hold the key."""
    cause = error.__cause__ and presentable(error.__cause__)
    return cause if isinstance(error, aiohttp.ClientResponseError) else error.with_traceback(None)


def _reason(error: BaseException) -> str:
    """Why, in the words of the operating system where there are any, and never with an address or a header in it."""
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if isinstance(cause, aiohttp.ClientHttpProxyError):
        return f"it answered with HTTP {cause.status}"
    if isinstance(cause, ssl.SSLError):  # whose numbers are not those of the operating system
        reason = getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or "no reason given"
        return {"WRONG_VERSION_NUMBER": "what answers there does not speak TLS; is it http://?"}.get(reason, reason)
    if isinstance(cause, OSError) and cause.errno is not None:
        return os.strerror(cause.errno) if cause.errno > 0 else cause.strerror or type(cause).__name__
    if isinstance(cause, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return "it was closed before the answer was whole"
    return type(cause).__name__


# ------------------------------------------------------------------------------------------------ answers of the server


_BAD_REQUEST = _Meaning(errors.BadRequestError, Fault.FINAL)

# What a GraphQL error code means, as far as it is known.
_BY_CODE: dict[str, _Meaning] = {
    Code.UNAUTHENTICATED: _Meaning(errors.AuthenticationError, Fault.FINAL),
    Code.FORBIDDEN: _Meaning(errors.PermissionDeniedError, Fault.FINAL),
    Code.NOT_FOUND: _Meaning(errors.NotFoundError, Fault.FINAL),
    Code.CONFLICT: _Meaning(errors.ConflictError, Fault.FINAL),
    Code.BAD_USER_INPUT: _BAD_REQUEST,
    Code.GRAPHQL_PARSE_FAILED: _BAD_REQUEST,
    Code.GRAPHQL_VALIDATION_FAILED: _BAD_REQUEST,
    "BAD_REQUEST": _BAD_REQUEST,
    "OPERATION_RESOLUTION_FAILURE": _BAD_REQUEST,
    "PERSISTED_QUERY_NOT_FOUND": _BAD_REQUEST,
    "PERSISTED_QUERY_NOT_SUPPORTED": _BAD_REQUEST,
    Code.RATE_LIMITED: _Meaning(errors.RateLimitError, Fault.REFUSED),
    Code.INSUFFICIENT_STORAGE: _Meaning(errors.ServerError, Fault.FINAL),
}
_UNKNOWN_CODE = _Meaning(errors.ServerError, Fault.DOUBTFUL)

# What an HTTP status means.
_BY_STATUS: dict[int, _Meaning] = {
    400: _BAD_REQUEST,
    401: _Meaning(errors.AuthenticationError, Fault.FINAL),
    403: _Meaning(errors.PermissionDeniedError, Fault.FINAL),
    404: _Meaning(errors.EndpointNotFoundError, Fault.FINAL),
    408: _Meaning(errors.APIStatusError, Fault.LOST),
    409: _Meaning(errors.ConflictError, Fault.FINAL),
    413: _BAD_REQUEST,
    422: _BAD_REQUEST,
    425: _Meaning(errors.APIStatusError, Fault.LOST),
    429: _Meaning(errors.RateLimitError, Fault.REFUSED),
    500: _Meaning(errors.ServerError, Fault.CRASHED),
    502: _Meaning(errors.APIStatusError, Fault.LOST),
    503: _Meaning(errors.ServerError, Fault.LOST),
    504: _Meaning(errors.APIStatusError, Fault.LOST),
}
_NO_FINAL_STATUS = _Meaning(errors.MalformedReplyError, Fault.BROKEN)
_UNKNOWN_CLIENT_STATUS = _Meaning(errors.APIStatusError, Fault.FINAL)
_UNKNOWN_SERVER_STATUS = _Meaning(errors.APIStatusError, Fault.DOUBTFUL)

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
        Failure: There is none, or the status says that it does not count.
    """
    if status in _REDIRECTION:
        facts = facts_of(status, headers)
        target = shorten(headers.get("Location", "an address that it does not name"))
        message = f"the server redirects to {target}; set api_url to the address that it really has"
        raise Failure(errors.RedirectError(message, **facts), Fault.FINAL)
    try:
        reply = _parse(status, headers, body)
    except ValueError as error:
        facts = facts_of(status, headers)
        if status not in _OK:
            message = f"the server answered with HTTP {status} and no GraphQL result{_hint(status)}"
            raise _failure(_meaning_of_status(status), message, facts) from None
        message = f"the answer is no GraphQL result: {error} ({_content(headers, body)})"
        raise Failure(errors.MalformedReplyError(message, **facts), Fault.BROKEN) from None
    if status not in _OK and not reply.errors:
        message = f"the server answered with HTTP {status}, so the data beside it do not count"
        raise _failure(_meaning_of_status(status), message, facts_of(status, headers))
    return reply


def check_errors(reply: Reply) -> dict[str, Any]:
    """The data of an answer without errors.

    Raises:
        Failure: It has errors, or no data.
    """
    listed: list[Any] = reply.errors or []
    if reply.data is not None and not listed:
        return reply.data
    facts = facts_of(reply.status, reply.headers)
    message = shorten("; ".join(_message(entry) for entry in listed[:_MOST_ERRORS]), _LONGEST_MESSAGE)
    if reply.data is not None and any(value is not None for value in reply.data.values()):
        partial = errors.PartialResultError(f"a part failed: {message}", **facts)
        partial.data = reply.data
        raise Failure(partial, Fault.DOUBTFUL)
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
        meaning = meaning._replace(fault=Fault.REFUSED)
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


def _meaning_of_status(status: int) -> _Meaning:
    if status < _OK.start:
        return _NO_FINAL_STATUS
    return _BY_STATUS.get(status, _UNKNOWN_SERVER_STATUS if status >= _SERVER_ERROR else _UNKNOWN_CLIENT_STATUS)


def _failure(meaning: _Meaning, message: str, facts: dict[str, Any]) -> Failure:
    return Failure(meaning.error(message, **facts), meaning.fault)


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
