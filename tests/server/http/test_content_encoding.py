"""Content encodings: request bodies are inflated within a limit, and only for callers with the key."""

from __future__ import annotations

import gzip
import http.client
import json
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from paperspace.gradient.server.http.content_encoding import inflate
from paperspace.gradient.server.http.request_errors import HTTPRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.raw_client import Caller

    from paperspace.gradient.server import LocalServer

QUERY = {"query": "{ deployments { nodes { id } } }"}
BODY = json.dumps(QUERY).encode()


def raw_deflate(body: bytes) -> bytes:
    return zlib.compress(body, wbits=-zlib.MAX_WBITS)


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("identity", bytes),
        ("", bytes),
    ],
)
def test_supported_encodings(call: Caller, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """Bodies in gzip and in both forms of deflate are inflated."""
    assert call.post(pack(BODY), Content_Encoding=encoding).data


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "gzip, br", "nonsense"])
def test_unsupported_encodings(call: Caller, encoding: str) -> None:
    """A body in another encoding, or in several, gets status 415 and the names of the supported encodings."""
    response = call.post(BODY, Content_Encoding=encoding)
    assert (response.status, response.code) == (415, "BAD_USER_INPUT")
    assert response.headers["Accept-Encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    "body",
    [b"", b"no gzip", gzip.compress(BODY)[:-1], gzip.compress(BODY) + b"x", gzip.compress(BODY) * 2],
    ids=["empty", "not gzip", "incomplete", "extra byte", "two streams"],  # gzip has the time in it
)
def test_malformed_bodies(call: Caller, body: bytes) -> None:
    """A body that is not exactly one complete gzip stream gets status 400."""
    response = call.post(body, Content_Encoding="gzip")
    assert (response.status, response.code) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/graphql", {}, 401),
        ("/graphql", {"Authorization": "Bearer wrong"}, 401),
        ("/no/where", {}, 404),
        ("/healthz", {}, 405),
        ("/graphql", {"Host": "other.example"}, 403),
    ],
)
def test_bodies_of_callers_without_the_key_are_not_inflated(
    server: LocalServer, path: str, headers: dict[str, Any], status: int
) -> None:
    """Without the key, a body is skipped as it is: one that is not gzip does no harm to the next request."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    connection.request("POST", path, b"not gzip" * 50_000, {"Content-Encoding": "gzip", **headers})
    response = connection.getresponse()
    response.read()
    assert response.status == status
    assert connection.sock is not None  # the server keeps the connection
    key = {"Authorization": f"Bearer {server.api_key}", "Content-Type": "application/json"}
    connection.request("POST", "/graphql", BODY, key)
    assert connection.getresponse().status == 200
    connection.close()


def test_inflating_is_bounded() -> None:
    """Inflating stops at the limit: a body of 100 kB for 100 MB takes no more memory than the limit allows."""
    bomb, limit = gzip.compress(bytes(100_000_000), 9), 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(HTTPRequestError) as raised:
            inflate(bomb, "gzip", limit)
        assert tracemalloc.get_traced_memory()[1] < 4 * limit
    finally:
        tracemalloc.stop()
    assert raised.value.status == 413
