"""Faults on the way to a connection, in every operation and both faces: nothing was sent, and nobody is in doubt."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from tests.faults.catalogue import SENDS, Outcome
from tests.faults.certificates import make_certificate
from tests.faults.harness import CALLS, CANARY, Seen, check, in_both_faces, settings
from tests.faults.server import Exchange, FaultServer, early, good

from paperspace.gradient import APIConnectionError, Client, ConfigurationError, TLSError
from paperspace.gradient._core import retry as _retry
from paperspace.gradient._core import transport as _transport


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.002)
    with caplog.at_level(logging.DEBUG):
        yield
    assert CANARY not in caplog.text


def everywhere(url: str, outcome: Outcome, words: str, timeout: float = 5.0, **more: Any) -> None:
    """Asserts that every operation in both faces comes to the same, with these words in the message."""

    def make(operation: str, _face: str) -> tuple[str, dict[str, Any], Callable[[Seen], None]]:
        def judge(seen: Seen) -> None:
            check(seen, outcome, operation, timeout)
            assert words in str(seen.error)

        return url, settings(timeout) | more, judge

    in_both_faces(make)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_refused() -> None:
    """Nobody listens: tried again, and nothing can have happened."""
    everywhere(f"http://127.0.0.1:{free_port()}/graphql", Outcome(APIConnectionError, SENDS), "Connection refused")


def test_refused_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that comes back within the deadline is found, as after a restart."""
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
    everywhere(url, Outcome(APIConnectionError, SENDS), "gradient.invalid", 8.0, allow_http_hosts=["gradient.invalid"])


def test_connection_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that swallows what is sent to it takes one try, not the whole deadline."""
    monkeypatch.setattr(_transport, "CONNECT_TIMEOUT", 0.1)
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # beyond the backlog, Linux answers no more
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/graphql"
        everywhere(url, Outcome(APIConnectionError, SENDS), "no connection to 127.0.0.1 in time")


# TLS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


def tls_error(server: FaultServer, words: str) -> None:
    handshakes: list[object] = []
    assert server._tls is not None
    server._tls.sni_callback = lambda *_: handshakes.append(1)
    with server:
        everywhere(server.url, Outcome(TLSError, 1), words)
    assert len(handshakes) == 8
    assert not server.requests


def test_tls_that_is_trusted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of a private authority works when the environment names the authority."""
    certificate = make_certificate(folder / "good")
    with FaultServer(tls=certificate.context) as server:
        for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            with monkeypatch.context() as patch, Client(CANARY, server.url) as client:
                patch.setenv(variable, str(certificate.path))
                assert CALLS["get"](client.deployments)


def test_tls_untrusted(folder: Path) -> None:
    """One handshake, no request, and no advice to switch the check off."""
    tls_error(FaultServer(tls=make_certificate(folder / "untrusted").context), "self-signed certificate")


def test_tls_expired(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says that it has expired."""
    certificate = make_certificate(folder / "expired", days=-1)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.path))
    tls_error(FaultServer(tls=certificate.context), "certificate has expired")


def test_tls_of_another_host(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says whose it is not."""
    certificate = make_certificate(folder / "other", host="other.example")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.path))
    tls_error(FaultServer(tls=certificate.context), "certificate is not valid for 'localhost'")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"\x15\x03\x01\x00\x02\x02\x46", "PROTOCOL_VERSION"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS"),
    ],
    ids=["old protocol", "no TLS"],
)
def test_tls_that_is_none(answer: bytes, words: str) -> None:
    """A server that speaks an old protocol, or none, is not tried twice."""

    @early
    async def behaviour(exchange: Exchange) -> None:
        await exchange.reader.read(10)
        await exchange.write(answer)

    with FaultServer(then=behaviour) as server:
        everywhere(f"https://127.0.0.1:{server.port}/graphql", Outcome(TLSError, 1), words)
        assert server.connections == 8


def test_handshake_that_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handshake that does not go on is no connection."""
    monkeypatch.setattr(_transport, "CONNECT_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/graphql"
        everywhere(url, Outcome(APIConnectionError, SENDS), "no connection to 127.0.0.1 in time")


def test_certificates_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that names no certificates is a fault of the configuration, and named; nothing of it stays behind."""
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
    """A behaviour: a proxy that answers CONNECT as it is told."""

    def __init__(self, answer: bytes) -> None:
        self.lines: list[str] = []
        self.heads: list[str] = []
        self._answer = answer

    @property
    def behaviour(self) -> Any:
        @early
        async def connect(exchange: Exchange) -> None:
            head = (await exchange.reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            self.lines.append(head.splitlines()[0])
            await exchange.write(self._answer)

        return connect


@pytest.mark.usefixtures("_no_proxies")
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "HTTP 407"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "HTTP 502"),
        (b"", "the connection to api.example broke: it was closed"),
    ],
    ids=["407", "502", "drops"],
)
def test_proxy_without_a_tunnel(answer: bytes, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a tunnel nothing is sent; the proxy never sees the key."""
    tunnels = Tunnels(answer)
    with FaultServer(then=tunnels.behaviour) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        outcome = Outcome(APIConnectionError, SENDS)
        everywhere("https://api.example/graphql", outcome, words)
    assert set(tunnels.lines) == {"CONNECT api.example:443 HTTP/1.1"}
    assert len(tunnels.lines) == 8 * SENDS
    assert CANARY not in "".join(tunnels.heads)


@pytest.mark.usefixtures("_no_proxies")
def test_proxy_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says that it is the proxy."""
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{free_port()}")
    outcome = Outcome(APIConnectionError, SENDS)
    everywhere("https://api.example/graphql", outcome, "the proxy on the way to api.example")


PLAIN = "http://api.example/graphql"


@pytest.mark.usefixtures("_no_proxies")
def test_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy that the environment names is used, but not where NO_PROXY names the host, nor to this machine itself."""
    with FaultServer() as proxy, FaultServer() as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        with Client(CANARY, PLAIN, allow_http_hosts=("api.example",)) as client:
            assert CALLS["get"](client.deployments)
        assert proxy.requests[0].line == f"POST {PLAIN} HTTP/1.1"
        with Client(CANARY, server.url) as client:
            assert CALLS["get"](client.deployments)
        monkeypatch.setenv("no_proxy", "api.example")
        made = Client(CANARY, PLAIN, max_retries=0, allow_http_hosts=("api.example",))
        with made as client, pytest.raises(APIConnectionError, match="was not found"):
            CALLS["get"](client.deployments)
        assert (len(proxy.requests), len(server.requests)) == (1, 1)


@pytest.mark.usefixtures("_no_proxies")
@pytest.mark.parametrize("address", ["socks5://127.0.0.1:1", "127.0.0.1:1", "http://", "http://[", "http://a b"])
def test_proxy_that_cannot_be_used(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of another kind, or a mistyped one, gives an error of ours."""
    monkeypatch.setenv("http_proxy", address)
    made = Client(CANARY, PLAIN, max_retries=0, allow_http_hosts=("api.example",))
    with made as client, pytest.raises(APIConnectionError):
        CALLS["get"](client.deployments)


def test_netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A .netrc that names the host is neither sent nor in the way."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password from-netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    with FaultServer() as server, Client(CANARY, server.url) as client:
        assert CALLS["get"](client.deployments)
    assert server.requests[0].headers["authorization"] == f"Bearer {CANARY}"


# What must not go elsewhere


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("scheme", ["http://127.0.0.1", "https://localhost", "http://[::1]"])
def test_redirect_elsewhere(status: int, scheme: str) -> None:
    """The other server sees no connection at all, and so no key and no variables."""

    async def redirect(exchange: Exchange) -> None:
        await exchange.reply(status, b"", Location=f"{scheme}:{target.port}/graphql")

    with FaultServer() as target, FaultServer(then=redirect) as server:
        with Client(CANARY, server.url) as client:
            for call in CALLS.values():
                with pytest.raises(Exception, match="redirects to"):
                    call(client.deployments)
        assert target.connections == 0
        assert len(server.requests) == len(CALLS)


def test_cookies() -> None:
    """A cookie that the server sets is not sent back."""

    async def set_cookie(exchange: Exchange) -> None:
        await exchange.reply(503, b"", Set_Cookie="session=1; Path=/")

    with FaultServer(set_cookie) as server, Client(CANARY, server.url) as client:
        assert CALLS["get"](client.deployments)
    assert [request.headers.get("cookie") for request in server.requests] == [None, None]


# Connections that are kept


async def good_then_close(exchange: Exchange) -> None:
    """Promises to keep the connection, and closes it when the next request arrives."""
    await good(exchange)
    await exchange.receive()
    exchange.close()


def test_stale_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every kept connection turns out to be closed, each call costs one resend, at once, on a fresh one."""
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 60.0)  # a wait would be noticed
    with FaultServer(*[good_then_close] * 20) as server, Client(CANARY, server.url, timeout=5) as client:
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda _: CALLS["create"](client.deployments), range(20)))
            kept = server.connections
            assert kept > 6  # more than max_retries
            list(pool.map(lambda _: CALLS["create"](client.deployments), range(kept)))
        keys = [request.headers["idempotency-key"] for request in server.requests]
        assert len(set(keys)) == len(keys) == 20 + kept


def test_connections_are_kept() -> None:
    """Calls one after the other share a connection."""
    with FaultServer() as server, Client(CANARY, server.url) as client:
        for _ in range(20):
            CALLS["get"](client.deployments)
        assert server.connections == 1
