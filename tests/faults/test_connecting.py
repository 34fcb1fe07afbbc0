"""Faults while connecting, for every operation, sync and async: nothing was sent, so nothing may have been applied."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Timer
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from tests.faults.catalogue import ATTEMPTS, Outcome
from tests.faults.certificates import make_certificate
from tests.faults.harness import CALLS, CANARY, Cell, Result, check, in_sync_and_async, settings
from tests.faults.server import Exchange, FaultServer, early, good, good_data

from paperspace.gradient import APIConnectionError, Client, ConfigurationError, RedirectError, TLSError
from paperspace.gradient._core import failures, proxies
from paperspace.gradient._core import retry as _retry
from paperspace.gradient._core import transport as _transport
from paperspace.gradient._core.defaults import DEFAULT_API_URL


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.002)
    with caplog.at_level(logging.DEBUG):
        yield
    assert CANARY not in caplog.text


def everywhere(url: str, outcome: Outcome, text: str, timeout: float = 5.0, **more: Any) -> None:
    """Assert that every operation, sync and async, has this outcome, with this text in the message."""

    def make(operation: str, _version: str) -> Cell:
        def verify(result: Result) -> None:
            check(result, outcome, operation, timeout)
            assert text in str(result.error)

        return Cell(url, settings(timeout) | more, verify)

    in_sync_and_async(make)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_refused() -> None:
    """A refused connection is retried."""
    everywhere(f"http://127.0.0.1:{free_port()}/graphql", Outcome(APIConnectionError, ATTEMPTS), "Connection refused")


def test_refused_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call succeeds if the server starts before the deadline, as after a restart."""
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.05)
    server = FaultServer()
    with server:
        pass
    with ExitStack() as stack, Client(CANARY, server.url, timeout=5, max_retries=50) as client:
        timer = Timer(0.2, lambda: stack.enter_context(server))
        timer.start()
        assert CALLS["create"](client.deployments)
        timer.join()
    assert len(server.requests) == 1


def test_unknown_host() -> None:
    """The message names the host."""
    url = "http://gradient.invalid/graphql"
    everywhere(
        url, Outcome(APIConnectionError, ATTEMPTS), "gradient.invalid", 8.0, allow_http_hosts=["gradient.invalid"]
    )


def test_connection_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that drops packets ends one attempt after the connect timeout, not the whole call."""
    monkeypatch.setattr(_transport, "CONNECT_TIMEOUT", 0.1)
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # beyond the backlog, Linux does not respond
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/graphql"
        everywhere(url, Outcome(APIConnectionError, ATTEMPTS), "timed out")


# TLS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


def tls_error(server: FaultServer, text: str) -> None:
    handshakes: list[object] = []
    assert server._tls is not None
    server._tls.sni_callback = lambda *_: handshakes.append(1)
    with server:
        everywhere(server.url, Outcome(TLSError, 1), text)
    assert len(handshakes) == 8
    assert not server.requests


def test_tls_trusted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of a private authority is trusted if the environment names the authority, when the client connects."""
    certificate = make_certificate(folder / "good")
    with FaultServer(tls=certificate.context) as server:
        for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            with monkeypatch.context() as patch, Client(CANARY, server.url) as client:
                patch.setenv(variable, str(certificate.path))
                assert CALLS["get"](client.deployments)


def test_tls_untrusted(folder: Path) -> None:
    """An untrusted certificate ends the call after one handshake, without a request."""
    way = "; if you trust the server, set SSL_CERT_FILE to a file with the certificate of its CA"
    tls_error(FaultServer(tls=make_certificate(folder / "untrusted").context), f"self-signed certificate{way}")


def test_tls_untrusted_by_another_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the environment names certificates, the message names the variable that counts, not one without effect."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(make_certificate(folder / "company").path))
    way = "; if you trust the server, set REQUESTS_CA_BUNDLE to a file with the certificate of its CA"
    tls_error(FaultServer(tls=make_certificate(folder / "private").context), way)


def test_tls_expired(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message states that the certificate has expired."""
    certificate = make_certificate(folder / "expired", days=-1)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.path))
    tls_error(FaultServer(tls=certificate.context), "certificate has expired")


def test_tls_of_another_host(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the host that the certificate is not valid for."""
    certificate = make_certificate(folder / "other", host="other.example")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.path))
    tls_error(FaultServer(tls=certificate.context), "certificate is not valid for 'localhost'")


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (b"\x15\x03\x01\x00\x02\x02\x46", "PROTOCOL_VERSION"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not use TLS"),
    ],
    ids=["old protocol", "no TLS"],
)
def test_tls_not_spoken(response: bytes, text: str) -> None:
    """A server that speaks an old TLS protocol, or none, is not retried."""

    @early
    async def behaviour(exchange: Exchange) -> None:
        await exchange.reader.read(10)
        await exchange.write(response)

    with FaultServer(then=behaviour) as server:
        everywhere(f"https://127.0.0.1:{server.port}/graphql", Outcome(TLSError, 1), text)
        assert server.connections == 8


def test_stalled_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stalled TLS handshake counts as a connection that was not established."""
    monkeypatch.setattr(_transport, "CONNECT_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/graphql"
        everywhere(url, Outcome(APIConnectionError, ATTEMPTS), "timed out")


def test_unreadable_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that names no certificates is a configuration error; without the variable the same client works again."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/at/all.pem")
    with Client(CANARY, "https://127.0.0.1:1/graphql", max_retries=0) as client:
        with pytest.raises(ConfigurationError, match="REQUESTS_CA"):
            CALLS["get"](client.deployments)
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        with pytest.raises(APIConnectionError):
            CALLS["get"](client.deployments)


# Proxies


@pytest.fixture
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Tunnels:
    """A proxy that responds to CONNECT as told, and records the requests."""

    def __init__(self, response: bytes) -> None:
        self.lines: list[str] = []
        self.heads: list[str] = []
        self._response = response

    @property
    def behaviour(self) -> Any:
        @early
        async def connect(exchange: Exchange) -> None:
            head = (await exchange.reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            self.lines.append(head.splitlines()[0])
            await exchange.write(self._response)

        return connect


@pytest.mark.usefixtures("_no_proxies")
@pytest.mark.parametrize(
    ("response", "text"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "HTTP 407"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "HTTP 502"),
        (b"", "the connection to api.example broke: closed"),
    ],
    ids=["407", "502", "drops"],
)
def test_proxy_without_a_tunnel(response: bytes, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a tunnel nothing is sent; the proxy never receives the API key."""
    tunnels = Tunnels(response)
    with FaultServer(then=tunnels.behaviour) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        outcome = Outcome(APIConnectionError, ATTEMPTS)
        everywhere("https://api.example/graphql", outcome, text)
    assert set(tunnels.lines) == {"CONNECT api.example:443 HTTP/1.1"}
    assert len(tunnels.lines) == 8 * ATTEMPTS
    assert CANARY not in "".join(tunnels.heads)


@pytest.mark.usefixtures("_no_proxies")
def test_proxy_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message blames the proxy."""
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{free_port()}")
    outcome = Outcome(APIConnectionError, ATTEMPTS)
    everywhere("https://api.example/graphql", outcome, "no connection to api.example through the proxy")


PLAIN = "http://api.example/graphql"


@pytest.mark.usefixtures("_no_proxies")
def test_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy of the environment is used, except for hosts in NO_PROXY and for loopback."""
    with FaultServer() as proxy, FaultServer() as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        with Client(CANARY, PLAIN, allow_http_hosts=("api.example",)) as client:
            assert CALLS["get"](client.deployments)
        assert proxy.requests[0].line == f"POST {PLAIN} HTTP/1.1"
        with Client(CANARY, server.url) as client:
            assert CALLS["get"](client.deployments)
        monkeypatch.setenv("no_proxy", "api.example")
        made = Client(CANARY, PLAIN, max_retries=0, allow_http_hosts=("api.example",))
        with (
            made as client,
            pytest.raises(APIConnectionError, match=r"unknown host api\.example: .*; is the API URL correct\?"),
        ):
            CALLS["get"](client.deployments)
        assert (len(proxy.requests), len(server.requests)) == (1, 1)


@pytest.mark.parametrize("url", [DEFAULT_API_URL, "https://api.paperspace.io"])
def test_no_connection_to_the_hosted_service(url: str) -> None:
    """Without an API URL, or with an old one, the error says that the hosted service is closed, and what to do."""
    key: Any = SimpleNamespace(ssl=None)
    refused = aiohttp.ClientConnectorDNSError(key, OSError(-2, "Name or service not known"))
    failed = failures.from_exception(refused, url, sent=False, reused=False)
    assert failed.message.startswith(f"unknown host {url.split('/')[2]}: ")
    assert failed.message.endswith(
        "; the hosted service is closed: start `gradient server`, and set PAPERSPACE_API_URL to the URL that it prints"
    )


@pytest.mark.usefixtures("_no_proxies")
@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("socks5://127.0.0.1:1", "SOCKS proxies are not supported"),
        ("socks4a://user:secret@proxy:1080", "SOCKS proxies are not supported"),
        ("ftp://127.0.0.1:1", "a proxy cannot have the scheme ftp"),
        ("http://", "invalid URL of a proxy"),
        ("http://[", "invalid URL of a proxy"),
        ("http://a b", "invalid URL of a proxy"),
        ("127.0.0.1:0", "invalid URL of a proxy"),
    ],
)
@pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY"])
def test_unusable_proxy(address: str, problem: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of another kind, or a mistyped one, is an error that names the variable, and not its value."""
    monkeypatch.setenv(variable, address)
    created = Client(CANARY, PLAIN, max_retries=0, allow_http_hosts=("api.example",))
    with created as client, pytest.raises(ConfigurationError) as caught:
        CALLS["get"](client.deployments)
    way = "set it to the URL of an HTTP proxy such as http://proxy.example.com:3128, or add api.example to NO_PROXY"
    assert str(caught.value) == f"{variable}: {problem}; {way}"


@pytest.mark.usefixtures("_no_proxies")
def test_proxy_without_a_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """`host:port` is an HTTP proxy, as for curl."""
    with FaultServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
        with Client(CANARY, PLAIN, allow_http_hosts=("api.example",)) as client:
            assert CALLS["get"](client.deployments)
    assert proxy.requests[0].line == f"POST {PLAIN} HTTP/1.1"


@pytest.mark.usefixtures("_no_proxies")
@pytest.mark.parametrize(
    ("excluded", "url", "expected"),
    [
        ("10.0.0.0/8", "https://10.1.2.3/graphql", None),
        ("example.com, 10.1.2.3/8", "https://10.200.0.1:8443/graphql", None),
        ("10.0.0.0/8", "https://11.1.2.3/graphql", "http://proxy:3128"),
        ("10.0.0.0/8", "https://api.example/graphql", "http://proxy:3128"),
        ("fd00::/8", "https://[fd00::1]/graphql", None),
        ("10.0.0.0/99", "https://10.1.2.3/graphql", "http://proxy:3128"),
        (".example", "https://api.example/graphql", None),
        ("*", "https://api.example/graphql", None),
    ],
)
def test_no_proxy(excluded: str, url: str, expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY has hosts, domains and networks."""
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", excluded)
    assert proxies.proxy_for(url) == expected


def test_netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A .netrc that names the host is ignored."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password from-netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    with FaultServer() as server, Client(CANARY, server.url) as client:
        assert CALLS["get"](client.deployments)
    assert server.requests[0].headers["authorization"] == f"Bearer {CANARY}"


# What must not reach other servers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("scheme", ["http://127.0.0.1", "https://localhost", "http://[::1]"])
def test_redirect_elsewhere(status: int, scheme: str) -> None:
    """Redirects are not followed: the other server receives no connection, so no API key and no variables."""

    async def redirect(exchange: Exchange) -> None:
        await exchange.respond(status, b"", Location=f"{scheme}:{target.port}/graphql")

    with FaultServer() as target, FaultServer(then=redirect) as server:
        with Client(CANARY, server.url) as client:
            for call in CALLS.values():
                with pytest.raises(RedirectError, match="redirects to"):
                    call(client.deployments)
        assert target.connections == 0
        assert len(server.requests) == len(CALLS)


def test_cookies() -> None:
    """A cookie of the server is not sent back, neither with the next call nor with a retry."""

    async def set_cookie(exchange: Exchange) -> None:
        cookie = "session=1; Path=/"
        if len(server.requests) in {2, 4}:
            await exchange.respond(503, b"", Set_Cookie=cookie)
        else:
            await exchange.respond(body={"data": good_data(exchange.request)}, Set_Cookie=cookie)

    with FaultServer(then=set_cookie) as server:
        # By name, as browsers and aiohttp keep no cookies of addresses.
        with Client(CANARY, f"http://localhost:{server.port}/graphql") as client:
            for _ in range(3):
                assert CALLS["get"](client.deployments)
        assert [request.headers.get("cookie") for request in server.requests] == [None] * 5


# Kept connections


async def good_then_close(exchange: Exchange) -> None:
    """Send the correct response, keep the connection, and close it when the next request arrives."""
    await good(exchange)
    await exchange.receive()
    exchange.close()


def test_stale_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """If every kept connection turns out to be closed, each call needs one retry, at once, on a new connection."""
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 1e9)  # a wait would exceed the deadline
    monkeypatch.setattr(_retry, "MAX_BACKOFF", 1e9)
    with FaultServer(*[good_then_close] * 20) as server, Client(CANARY, server.url, timeout=5) as client:
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda _: CALLS["create"](client.deployments), range(20)))
            kept = server.connections
            assert kept > 6  # more than max_retries
            list(pool.map(lambda _: CALLS["create"](client.deployments), range(kept)))
        keys = [request.headers["idempotency-key"] for request in server.requests]
        assert len(set(keys)) == len(keys) == 20 + kept


def test_connections_are_kept() -> None:
    """Consecutive calls share a connection."""
    with FaultServer() as server, Client(CANARY, server.url) as client:
        for _ in range(20):
            CALLS["get"](client.deployments)
        assert server.connections == 1
