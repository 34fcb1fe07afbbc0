"""What the tests share: a real server with ids and clock fixed at the source, clients of it, and a tap on the wire."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from tests.samples import API_KEY

from paperspace.gradient import AsyncClient, Client
from paperspace.gradient import _default_client as _default
from paperspace.gradient._core.transport import HTTPTransport
from paperspace.gradient.server import LocalServer

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would every child of theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Clock:
    """A clock that goes on by a second each time that it is read."""

    def __init__(self) -> None:
        self._seconds = count()
        self.start = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.start + timedelta(seconds=next(self._seconds))


def counted_ids() -> Callable[[], UUID]:
    """A source of ids that are numbered from 1."""
    numbers = count(1)
    return lambda: UUID(int=next(numbers))


@pytest.fixture
def anyio_backend() -> str:
    """The async tests run on asyncio, which is what the library is for."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting, configuration file or default client of the outside, or of another test, is met."""
    for name in [name for name in os.environ if name.startswith("PAPERSPACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PAPERSPACE_CONFIG_PATH", str(tmp_path_factory.getbasetemp() / "no-configuration"))
    monkeypatch.setattr(_default, "_session", None)


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A fresh server on a free port, with numbered ids and a clock of its own."""
    with LocalServer(
        api_key=API_KEY, actor="First Last", now=Clock(), new_id=counted_ids(), new_request_id=counted_ids()
    ) as server:
        yield server


@pytest.fixture
def client(server: LocalServer) -> Iterator[Client]:
    """A synchronous client of the server."""
    with Client(server.api_key, server.url) as client:
        yield client


@pytest.fixture
async def aclient(server: LocalServer) -> AsyncIterator[AsyncClient]:
    """An asynchronous client of the server."""
    async with AsyncClient(server.api_key, server.url) as client:
        yield client


@pytest.fixture
def environment(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment that points the default client at the server, set here and returned for child processes."""
    monkeypatch.setenv("PAPERSPACE_API_URL", server.url)
    monkeypatch.setenv("PAPERSPACE_API_KEY", server.api_key)
    return dict(os.environ)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every request that the transport sends from now on: the payload without the text of the query."""
    sent: list[dict[str, Any]] = []
    execute = HTTPTransport.execute

    async def tapped(self: HTTPTransport, request: Any, **options: Any) -> Any:
        sent.append({key: value for key, value in request.payload.items() if key != "query"})
        return await execute(self, request, **options)

    monkeypatch.setattr(HTTPTransport, "execute", tapped)
    return sent
