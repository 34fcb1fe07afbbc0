"""Failed attempts: the exception that describes one, and the mapping of aiohttp's exceptions to it.

Nothing here sends, waits or keeps state. `responses` maps what a response says went wrong.
"""

from __future__ import annotations

import os
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError

from paperspace.gradient import errors
from paperspace.gradient._core import certificates
from paperspace.gradient._core.retry import FailureKind
from paperspace.gradient.config import is_loopback


class ResponseFacts(NamedTuple):
    """What a response says about itself, as the attributes of an `APIError` have it."""

    status: int | None = None
    code: str | None = None
    request_id: str | None = None
    retry_after: float | None = None


class AttemptFailed(Exception):  # noqa: N818  # it never leaves the library: the session raises an error for it
    """One attempt failed.

    Attributes:
        error_class: The class of the error to raise if this was the last attempt.
        message: What went wrong. May repeat text of the server.
        kind: What the retry policy needs to know.
        facts: What the response said about itself.
        data: The data beside the errors of a partial result.
        unknown_fields: The fields of the operation that the schema of the server does not have. It executed nothing.
    """

    def __init__(
        self,
        error_class: type[errors.APIError],
        message: str,
        kind: FailureKind,
        facts: ResponseFacts = ResponseFacts(),  # noqa: B008  # immutable
        data: object = None,
        unknown_fields: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        self.error_class = error_class
        self.message = message
        self.kind = kind
        self.facts = facts
        self.data = data
        self.unknown_fields = unknown_fields


class Meaning(NamedTuple):
    """What an exception, an HTTP status or a GraphQL error code means."""

    error_class: type[errors.APIError]
    kind: FailureKind


_NO_RESPONSE = Meaning(errors.APIConnectionError, FailureKind.LOST)

# What an exception means, most specific first. The kind holds for a request that may have been sent.
_BY_EXCEPTION: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, Meaning], ...] = (
    (
        (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError),
        "no secure connection to {host}: {reason}",
        Meaning(errors.TLSError, FailureKind.FINAL),
    ),
    (
        (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError),
        "the URL of {host}, or the URL of the proxy, is invalid",
        Meaning(errors.APIConnectionError, FailureKind.FINAL),
    ),
    (
        (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError),
        "no connection to {host} through the proxy: {reason}",
        _NO_RESPONSE,
    ),
    (
        aiohttp.ClientResponseError,
        "the response of {host} is not valid HTTP",
        Meaning(errors.MalformedResponseError, FailureKind.LOST),
    ),
    (
        ContentEncodingError,
        "the response of {host} cannot be decompressed",
        Meaning(errors.MalformedResponseError, FailureKind.BROKEN),
    ),
    (aiohttp.ClientConnectorDNSError, "unknown host {host}: {reason}; {hint}", _NO_RESPONSE),
    (
        aiohttp.ClientConnectorError,
        "no connection to {address}: {reason}; {hint}",
        _NO_RESPONSE,
    ),
    (aiohttp.ConnectionTimeoutError, "no connection to {address}: timed out", _NO_RESPONSE),
    (TimeoutError, "no response from {host}: timed out", Meaning(errors.APITimeoutError, FailureKind.LOST)),
    (Exception, "the connection to {host} broke: {reason}", _NO_RESPONSE),
)

# The hosts of the hosted service, which is closed.
_CLOSED_HOSTS = (".paperspace.com", ".paperspace.io")

# X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, ..._SELF_SIGNED_CERT_IN_CHAIN, ..._UNABLE_TO_GET_ISSUER_CERT_LOCALLY and
# ..._UNABLE_TO_VERIFY_LEAF_SIGNATURE
_UNKNOWN_CA = {18, 19, 20, 21}

# How aiohttp reports that the server closed a kept connection before it had read the request.
_STALE = (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError, aiohttp.ClientOSError)


def from_exception(error: Exception, url: str, *, sent: bool, reused: bool) -> AttemptFailed:
    """Map an exception of aiohttp.

    Args:
        error: The exception.
        url: The URL of the request.
        sent: Whether a part of the request may have been sent.
        reused: Whether the connection was kept from an earlier request.
    """
    cause = error.__cause__ if isinstance(error, aiohttp.ClientPayloadError) else None
    error = cause if isinstance(cause, ContentEncodingError) else error
    template, meaning = next(row[1:] for row in _BY_EXCEPTION if isinstance(error, row[0]))
    kind = meaning.kind
    if kind is FailureKind.LOST and not sent:
        kind = FailureKind.NOT_SENT
    elif kind is FailureKind.LOST and reused and isinstance(error, _STALE):
        kind = FailureKind.STALE
    parts = urlsplit(url)
    host = parts.hostname or ""
    address = f"{host}:{parts.port}" if parts.port else host
    message = template.format(host=host, address=address, reason=_reason(error), hint=_hint(host))
    return AttemptFailed(meaning.error_class, message, kind)


def _hint(host: str) -> str:
    """Return what to do if there is no connection."""
    if host.endswith(_CLOSED_HOSTS):
        return "the hosted service is closed: start `gradient server`, and set PAPERSPACE_API_URL to the URL that it prints"
    return "is `gradient server` running?" if is_loopback(host) else "is the API URL correct?"


def without_secrets(error: BaseException) -> BaseException | None:
    """Return the exception as a cause that is safe to show: without the frames and the request that hold the API key."""
    inner = error.__cause__ or error.__context__  # the TimeoutError of Python 3.11.2 has only a context
    cause = inner and without_secrets(inner)
    return cause if isinstance(error, aiohttp.ClientResponseError) else error.with_traceback(None)


def _reason(error: BaseException) -> str:
    """Return why, in the operating system's words if there are any, and without any URL or header."""
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if isinstance(cause, aiohttp.ClientHttpProxyError):
        return f"HTTP {cause.status}"
    if isinstance(cause, ssl.SSLError):  # its numbers are not those of the operating system
        reason = getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or "no reason is known"
        if getattr(cause, "verify_code", None) in _UNKNOWN_CA:
            variable = certificates.variable()
            return f"{reason}; if you trust the server, set {variable} to a file with the certificate of its CA"
        return {"WRONG_VERSION_NUMBER": "the server does not use TLS; should the API URL start with http://?"}.get(
            reason, reason
        )
    if isinstance(cause, OSError) and cause.errno is not None:
        return os.strerror(cause.errno) if cause.errno > 0 else cause.strerror or type(cause).__name__
    if isinstance(cause, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return "closed before the response was complete"
    return type(cause).__name__
