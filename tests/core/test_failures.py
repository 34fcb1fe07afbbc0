"""Every exception of the libraries below, and the error and kind of failure that it becomes."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import ssl
from typing import Any, cast

import pytest
from aiohttp import ClientPayloadError, RequestInfo, http_exceptions
from aiohttp import client_exceptions as theirs
from aiohttp.client_reqrep import ConnectionKey
from tests.faults.harness import CANARY

from paperspace.gradient import errors
from paperspace.gradient._core.failures import from_exception
from paperspace.gradient._core.retry import FailureKind

URL = f"https://api.example/graphql?token={CANARY}"

CONNECTION, MALFORMED, TIMEOUT, TLS = (
    errors.APIConnectionError,
    errors.MalformedResponseError,
    errors.APITimeoutError,
    errors.TLSError,
)

# Each class that aiohttp's client may raise: our error, and the kind of failure if bytes may have been sent.
EXPECTED: dict[type[BaseException], tuple[type[errors.APIError], FailureKind]] = {
    theirs.ClientError: (CONNECTION, FailureKind.LOST),
    theirs.ClientConnectionError: (CONNECTION, FailureKind.LOST),
    theirs.ClientConnectionResetError: (CONNECTION, FailureKind.LOST),
    theirs.ClientOSError: (CONNECTION, FailureKind.LOST),
    theirs.ClientConnectorError: (CONNECTION, FailureKind.LOST),
    theirs.ClientConnectorDNSError: (CONNECTION, FailureKind.LOST),
    theirs.ClientProxyConnectionError: (CONNECTION, FailureKind.LOST),
    theirs.UnixClientConnectorError: (CONNECTION, FailureKind.LOST),
    theirs.ServerConnectionError: (CONNECTION, FailureKind.LOST),
    theirs.ServerDisconnectedError: (CONNECTION, FailureKind.LOST),
    theirs.ServerTimeoutError: (TIMEOUT, FailureKind.LOST),
    theirs.ConnectionTimeoutError: (CONNECTION, FailureKind.LOST),
    theirs.SocketTimeoutError: (TIMEOUT, FailureKind.LOST),
    theirs.ServerFingerprintMismatch: (CONNECTION, FailureKind.LOST),
    theirs.ClientPayloadError: (CONNECTION, FailureKind.LOST),
    theirs.ClientResponseError: (MALFORMED, FailureKind.LOST),
    theirs.ContentTypeError: (MALFORMED, FailureKind.LOST),
    theirs.WSServerHandshakeError: (MALFORMED, FailureKind.LOST),
    theirs.ClientHttpProxyError: (CONNECTION, FailureKind.LOST),
    theirs.TooManyRedirects: (MALFORMED, FailureKind.LOST),
    theirs.InvalidURL: (CONNECTION, FailureKind.FINAL),
    theirs.InvalidUrlClientError: (CONNECTION, FailureKind.FINAL),
    theirs.InvalidUrlRedirectClientError: (CONNECTION, FailureKind.FINAL),
    theirs.NonHttpUrlClientError: (CONNECTION, FailureKind.FINAL),
    theirs.NonHttpUrlRedirectClientError: (CONNECTION, FailureKind.FINAL),
    theirs.RedirectClientError: (CONNECTION, FailureKind.LOST),
    theirs.ClientSSLError: (CONNECTION, FailureKind.LOST),
    theirs.ClientConnectorSSLError: (TLS, FailureKind.FINAL),
    theirs.ClientConnectorCertificateError: (TLS, FailureKind.FINAL),
    # Of Python
    OSError: (CONNECTION, FailureKind.LOST),
    ConnectionResetError: (CONNECTION, FailureKind.LOST),
    BrokenPipeError: (CONNECTION, FailureKind.LOST),
    ssl.SSLError: (CONNECTION, FailureKind.LOST),
    ssl.SSLCertVerificationError: (CONNECTION, FailureKind.LOST),
    TimeoutError: (TIMEOUT, FailureKind.LOST),
    asyncio.TimeoutError: (TIMEOUT, FailureKind.LOST),
    ValueError: (CONNECTION, FailureKind.LOST),
    UnicodeError: (CONNECTION, FailureKind.LOST),
}

# Those of features that the client does not use: websockets, uploads.
UNUSED = {theirs.WSMessageTypeError, theirs.UploadAbortedError}


def sample(kind: type[BaseException]) -> Exception:
    """Create an exception of a class, with the arguments that aiohttp gives it."""
    key = ConnectionKey("api.example", 443, True, True, None, None, None)
    request = RequestInfo(cast("Any", URL), "POST", cast("Any", {"Authorization": f"Bearer {CANARY}"}))
    exception: BaseException
    if issubclass(kind, theirs.UnixClientConnectorError):
        exception = kind("/socket", key, OSError(111, "refused"))
    elif issubclass(kind, theirs.ClientConnectorCertificateError):
        exception = kind(key, ssl.SSLCertVerificationError(1, "certificate verify failed"))
    elif issubclass(kind, theirs.ClientConnectorError):
        exception = kind(key, OSError(111, "refused"))
    elif issubclass(kind, theirs.ClientResponseError):
        exception = kind(request, (), status=400)
    elif issubclass(kind, theirs.ServerFingerprintMismatch):
        exception = kind(b"a", b"b", "api.example", 443)
    elif issubclass(kind, theirs.InvalidURL | theirs.NonHttpUrlClientError):
        exception = kind(URL)
    else:
        exception = kind()
    assert isinstance(exception, Exception)
    return exception


def test_every_class_of_aiohttp_is_known() -> None:
    """A class that a new aiohttp adds must be added here first."""
    classes = {kind for _, kind in inspect.getmembers(theirs, inspect.isclass) if issubclass(kind, Exception)}
    defined = {kind for kind in classes if kind.__module__ == theirs.__name__}
    assert defined - UNUSED == {kind for kind in EXPECTED if kind.__module__ == theirs.__name__}


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
def test_meaning(kind: type[BaseException]) -> None:
    """Each becomes one of our errors, is retried if nothing was sent, and does not show secrets of the API URL."""
    error, failure_kind = EXPECTED[kind]
    for sent in (True, False):
        failure = from_exception(sample(kind), URL, sent=sent, reused=False)
        assert failure.error_class is error
        assert failure.kind is (failure_kind if sent or failure_kind is FailureKind.FINAL else FailureKind.NOT_SENT)
        assert "api.example" in failure.message
        assert CANARY not in failure.message + repr(failure)
        assert CANARY.encode() not in pickle.dumps(error(failure.message))


@pytest.mark.parametrize("kind", [kind for kind in EXPECTED if issubclass(kind, theirs.ClientConnectionError)])
def test_stale_connection(kind: type[BaseException]) -> None:
    """On a kept connection, and only there, an end before the response means that the connection was stale."""
    stale = (theirs.ServerDisconnectedError, theirs.ClientConnectionResetError, theirs.ClientOSError)
    expected = EXPECTED[kind][1]
    if issubclass(kind, stale) and expected is not FailureKind.FINAL:
        expected = FailureKind.STALE
    assert from_exception(sample(kind), URL, sent=True, reused=True).kind is expected


def test_content_that_cannot_be_decompressed() -> None:
    """Content that cannot be decompressed is a malformed response, not a connection failure."""
    error = ClientPayloadError()
    error.__cause__ = http_exceptions.ContentEncodingError("gzip")
    failure = from_exception(error, URL, sent=True, reused=False)
    assert failure.error_class is MALFORMED
    assert failure.kind is FailureKind.BROKEN
