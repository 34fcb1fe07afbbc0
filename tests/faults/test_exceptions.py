"""The exceptions of the libraries below, all of them, and what becomes of each."""

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

# Each class that aiohttp's client may raise: our error, and the fault once bytes may be out.
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
    # Not aiohttp's own
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

# Those that have to do with what the client never does: websockets, uploads.
UNUSED = {theirs.WSMessageTypeError, theirs.UploadAbortedError}


def sample(kind: type[BaseException]) -> Exception:
    """An exception of a class, with as much as aiohttp puts into it."""
    key = ConnectionKey("api.example", 443, True, True, None, None, None)
    request = RequestInfo(cast("Any", URL), "POST", cast("Any", {"Authorization": f"Bearer {CANARY}"}))
    made: BaseException
    if issubclass(kind, theirs.UnixClientConnectorError):
        made = kind("/socket", key, OSError(111, "refused"))
    elif issubclass(kind, theirs.ClientConnectorCertificateError):
        made = kind(key, ssl.SSLCertVerificationError(1, "certificate verify failed"))
    elif issubclass(kind, theirs.ClientConnectorError):
        made = kind(key, OSError(111, "refused"))
    elif issubclass(kind, theirs.ClientResponseError):
        made = kind(request, (), status=400)
    elif issubclass(kind, theirs.ServerFingerprintMismatch):
        made = kind(b"a", b"b", "api.example", 443)
    elif issubclass(kind, theirs.InvalidURL | theirs.NonHttpUrlClientError):
        made = kind(URL)
    else:
        made = kind()
    assert isinstance(made, Exception)
    return made


def test_every_class_of_aiohttp_is_known() -> None:
    """A class that a new aiohttp brings has to be thought about before this passes again."""
    found = {kind for _, kind in inspect.getmembers(theirs, inspect.isclass) if issubclass(kind, Exception)}
    own = {kind for kind in found if kind.__module__ == theirs.__name__}
    assert own - UNUSED == {kind for kind in EXPECTED if kind.__module__ == theirs.__name__}


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
def test_meaning(kind: type[BaseException]) -> None:
    """Each becomes an error of ours, safe to repeat where nothing was sent, and without the address's secrets."""
    error, fault = EXPECTED[kind]
    for sent in (True, False):
        failure = from_exception(sample(kind), URL, sent=sent, reused=False)
        assert type(failure.error) is error
        assert failure.kind is (fault if sent or fault is FailureKind.FINAL else FailureKind.NOT_SENT)
        assert "api.example" in str(failure.error)
        assert CANARY not in str(failure.error) + repr(failure.error)
        assert CANARY.encode() not in pickle.dumps(failure.error)


@pytest.mark.parametrize("kind", [kind for kind in EXPECTED if issubclass(kind, theirs.ClientConnectionError)])
def test_stale_connection(kind: type[BaseException]) -> None:
    """On a connection that was kept, and only there, an end before the answer means that it was stale."""
    stale = (theirs.ServerDisconnectedError, theirs.ClientConnectionResetError, theirs.ClientOSError)
    expected = EXPECTED[kind][1]
    if issubclass(kind, stale) and expected is not FailureKind.FINAL:
        expected = FailureKind.STALE
    assert from_exception(sample(kind), URL, sent=True, reused=True).kind is expected


def test_content_that_cannot_be_decompressed() -> None:
    """It came whole, so it is the answer that is wrong, not the connection."""
    error = ClientPayloadError()
    error.__cause__ = http_exceptions.ContentEncodingError("gzip")
    failure = from_exception(error, URL, sent=True, reused=False)
    assert type(failure.error) is MALFORMED
    assert failure.kind is FailureKind.BROKEN
