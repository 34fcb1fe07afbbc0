"""Shared fixtures: a real server with fixed ids and a fixed clock, its clients, and a record of the requests they send."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import count
from pathlib import Path
from pkgutil import iter_modules
from typing import Any
from uuid import UUID

import hypothesis
import pytest
from tests.raw_client import Caller
from tests.samples import API_KEY

import paperspace.gradient
from paperspace.gradient import AsyncClient, Client
from paperspace.gradient import _default_client as _default
from paperspace.gradient._core.transport import HTTPTransport
from paperspace.gradient.server import LocalServer

# A shell that runs the tests in the background makes them ignore Ctrl-C, and every child process inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# The library imports these modules when it needs them, some in the loop thread. pytest parses the modules that it imports, which
# Python 3.11 cannot do in two threads at the same time ("AST constructor recursion depth mismatch").
for _package in ("_core", "_shared", "_spec", "_sync", "deployments"):
    for _module in iter_modules([str(Path(paperspace.gradient.__file__).with_name(_package))]):
        import_module(f"paperspace.gradient.{_package}.{_module.name}")


# How long an example takes depends on the machine.
hypothesis.settings.register_profile("without deadline", deadline=None)
hypothesis.settings.load_profile("without deadline")


class Clock:
    """A clock that advances by one second at each reading."""

    def __init__(self) -> None:
        self._seconds = count()
        self.start = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.start + timedelta(seconds=next(self._seconds))


def counted_ids() -> Callable[[], UUID]:
    """Return a source of ids, numbered from 1."""
    numbers = count(1)
    return lambda: UUID(int=next(numbers))


@pytest.fixture
def anyio_backend() -> str:
    """Run the async tests on asyncio, the only event loop that the library supports."""
    return "asyncio"


@pytest.fixture(autouse=True, scope="session")
def _temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use a temporary folder that is removed at the end: servers that are killed leave files in it. Its path is short, for sockets."""
    tmp_path_factory.getbasetemp()  # elsewhere: pytest keeps the folders of the tests
    with (
        tempfile.TemporaryDirectory(prefix="gt", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hide the settings, configuration file and default client of the machine and of other tests."""
    for name in [name for name in os.environ if name.startswith("PAPERSPACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PAPERSPACE_CONFIG_PATH", str(tmp_path_factory.getbasetemp() / "no-configuration"))
    monkeypatch.setattr(_default, "_sessions", {})


@pytest.fixture
def new_server() -> Callable[[], LocalServer]:
    """Create servers on free ports, each with ids numbered from 1 and its own clock: the same calls, the same results."""

    def create() -> LocalServer:
        return LocalServer(
            api_key=API_KEY, actor="First Last", now=Clock(), new_id=counted_ids(), new_request_id=counted_ids()
        )

    return create


@pytest.fixture
def server(new_server: Callable[[], LocalServer]) -> Iterator[LocalServer]:
    """A running server with numbered ids and its own clock."""
    with new_server() as server:
        yield server


@pytest.fixture
def client(server: LocalServer) -> Iterator[Client]:
    """A sync client of the server."""
    with Client(server.api_key, server.url) as client:
        yield client


@pytest.fixture
async def aclient(server: LocalServer) -> AsyncIterator[AsyncClient]:
    """An async client of the server."""
    async with AsyncClient(server.api_key, server.url) as client:
        yield client


@pytest.fixture
def environment(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Point the default client at the server by environment variables; return them for child processes."""
    monkeypatch.setenv("PAPERSPACE_API_URL", server.url)
    monkeypatch.setenv("PAPERSPACE_API_KEY", server.api_key)
    return dict(os.environ)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Record every request that the transport sends: its payload without the text of the query."""
    sent: list[dict[str, Any]] = []
    send = HTTPTransport.send

    async def recorded(self: HTTPTransport, request: Any, *args: Any, **options: Any) -> Any:
        sent.append({key: value for key, value in request.payload.items() if key != "query"})
        return await send(self, request, *args, **options)

    monkeypatch.setattr(HTTPTransport, "send", recorded)
    return sent


@pytest.fixture
def caller() -> type[Caller]:
    """Return a client class that shares no code with the library, for tests that start servers themselves."""
    return Caller
