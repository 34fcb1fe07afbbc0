"""What goes wrong with a request, as one of our errors, and the exceptions of aiohttp in these terms.

Each error carries its fault, from which the retry rule decides. What an answer says went wrong is in `_replies`. Nothing
here sends, waits or remembers.
"""

from __future__ import annotations

import os
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError

from paperspace.gradient import errors
from paperspace.gradient._core.retry import FailureKind


class AttemptFailed(Exception):  # noqa: N818  # never leaves the library: the session raises the error in it
    """One request that failed: the error for the user, and the fault for the retry rule."""

    def __init__(self, error: errors.APIError, kind: FailureKind) -> None:
        super().__init__(error)
        self.error = error
        self.kind = kind


class Meaning(NamedTuple):
    """What something that went wrong means."""

    error: type[errors.APIError]
    kind: FailureKind


_NO_ANSWER = Meaning(errors.APIConnectionError, FailureKind.LOST)

# What an exception means, most specific first. The kind is that of a request that was on its way.
_BY_EXCEPTION: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, Meaning], ...] = (
    (
        (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError),
        "no secure connection to {host}: {reason}",
        Meaning(errors.TLSError, FailureKind.FINAL),
    ),
    (
        (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError),
        "the address of {host}, or of the proxy on the way, cannot be used",
        Meaning(errors.APIConnectionError, FailureKind.FINAL),
    ),
    (
        (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError),
        "the proxy on the way to {host} gave no connection: {reason}",
        _NO_ANSWER,
    ),
    (
        aiohttp.ClientResponseError,
        "what answered for {host} spoke no HTTP that could be read",
        Meaning(errors.MalformedResponseError, FailureKind.LOST),
    ),
    (
        ContentEncodingError,
        "the answer of {host} cannot be decompressed",
        Meaning(errors.MalformedResponseError, FailureKind.BROKEN),
    ),
    (aiohttp.ClientConnectorDNSError, "the host {host} was not found: {reason}", _NO_ANSWER),
    (
        aiohttp.ClientConnectorError,
        "no connection to {host}: {reason}; is the server running, and the address right?",
        _NO_ANSWER,
    ),
    (aiohttp.ConnectionTimeoutError, "no connection to {host} in time", _NO_ANSWER),
    (TimeoutError, "{host} did not answer in time", Meaning(errors.APITimeoutError, FailureKind.LOST)),
    (Exception, "the connection to {host} broke: {reason}", _NO_ANSWER),
)

# How it shows that the server has closed a connection that was kept, before it read the request or while it did.
_STALE = (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError, aiohttp.ClientOSError)


def from_exception(error: Exception, url: str, *, sent: bool, reused: bool) -> AttemptFailed:
    """What an exception out of aiohttp means for a request to this address."""
    inner = error.__cause__ if isinstance(error, aiohttp.ClientPayloadError) else None
    error = inner if isinstance(inner, ContentEncodingError) else error
    text, meaning = next(row[1:] for row in _BY_EXCEPTION if isinstance(error, row[0]))
    kind = meaning.kind
    if kind is FailureKind.LOST and not sent:
        kind = FailureKind.NOT_SENT
    elif kind is FailureKind.LOST and reused and isinstance(error, _STALE):
        kind = FailureKind.STALE
    message = text.format(host=urlsplit(url).hostname, reason=_reason(error))
    return AttemptFailed(meaning.error(message), kind)


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
