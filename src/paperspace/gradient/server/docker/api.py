"""The connections to the Docker engine: the version of its API, timeouts, and its failures as sentences."""

from __future__ import annotations

import asyncio
import errno
import json
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiodocker
import aiohttp

from paperspace.gradient.server.controller.engine import EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from paperspace.gradient.server.docker.address import Address

# The versions of the API that the tests run on: of Docker 20.10 and 28.
OLDEST_API = (1, 41)
NEWEST_API = (1, 51)

CONNECTION_FAILED = 900  # the status of aiodocker's error if there is no response
PING_INTERVAL = 1.0  # seconds without an event
_EVENT_BUFFER = 16 * 2**20  # bytes; an event, which has all labels of its container, may be twice as large

_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=5)
_PING_TIMEOUT = aiohttp.ClientTimeout(total=10)


class RefusedError(EngineUnavailableError):
    """The engine, or a proxy in front of it, does not allow a request that cannot be done without."""


class Api:
    """An open connection to the engine.

    Attributes:
        client: The client of the API. Use it inside `requests`.
        product: The engine and its version, such as "Docker 28.5.2".
        network_lock: Whoever has it may create the network.
    """

    def __init__(self, address: Address, client: aiodocker.Docker, stack: AsyncExitStack) -> None:
        self.address = address
        self.client = client
        self.product = "Docker"
        self.network_lock = asyncio.Lock()
        self._stack = stack

    @classmethod
    async def connect(cls, address: Address) -> Api:
        """Connect to an engine, and select the version of its API.

        Raises:
            EngineUnavailableError: it does not respond, or has no version of the API that can be used.
        """
        async with AsyncExitStack() as stack:
            connector = _connector(address)
            stack.push_async_callback(connector.close)
            client = await stack.enter_async_context(
                aiodocker.Docker(
                    "unix://localhost", connector=connector, timeout=_TIMEOUT
                )  # the connector has the path
            )
            api = cls(address, client, stack)
            await api.select_version()
            api._stack = stack.pop_all()
            return api

    async def select_version(self) -> None:
        """Select the version of the API. After a restart, the engine may have another one.

        Until it is known, also if the engine does not respond, all requests use the one before. aiodocker's own selection
        would leave them without any: the engine responds to such paths with "not found".

        Raises:
            EngineUnavailableError: it does not respond, or has no version of the API that can be used.
        """
        with self.requests():
            url = f"{self.client.docker_host}/version"
            async with self.client.session.get(url, raise_for_status=True) as response:
                versions = await response.json()
        self.client.api_version = api_version(versions)
        self.product = f"Docker {versions.get('Version', '')}".rstrip()

    def describe(self) -> str:
        """Return the product and the address, such as "Docker 28.5.2 (unix:///var/run/docker.sock)"."""
        return f"{self.product} ({self.address.url})"

    async def close(self) -> None:
        """Close all connections."""
        await self._stack.aclose()

    def url(self, path: str) -> str:
        """Return the URL of a path of the API, such as `events`, for requests that aiodocker cannot send."""
        return f"{self.client.docker_host}/{self.client.api_version}/{path}"

    async def ping(self) -> None:
        """Return if the engine responds.

        Raises:
            EngineUnavailableError: it does not.
        """
        with self.requests():
            url = f"{self.client.docker_host}/_ping"
            async with self.client.session.get(url, timeout=_PING_TIMEOUT, raise_for_status=True) as response:
                await response.read()

    @asynccontextmanager
    async def events(self, filters: Mapping[str, list[str]]) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Receive events. All that happen after the start of the block are received.

        aiodocker's stream does not say from when on.
        """
        with self.requests():
            async with self.client.session.get(
                self.url("events"),
                params={"filters": json.dumps(filters)},
                timeout=aiohttp.ClientTimeout(sock_connect=_TIMEOUT.sock_connect),
                read_bufsize=_EVENT_BUFFER,
                raise_for_status=True,
            ) as response:
                yield self._checked(json.loads(line) async for line in response.content)

    async def _checked(self, events: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
        """Yield events, and ping the engine while there are none: an event stream does not notice a lost connection."""
        while True:
            following = asyncio.ensure_future(anext(events, None))
            try:
                while not (await asyncio.wait({following}, timeout=PING_INTERVAL))[0]:
                    await self.ping()
            except BaseException:
                following.cancel()
                raise
            event = await following
            if event is None:
                return
            yield event

    @contextmanager
    def requests(self) -> Iterator[None]:
        """Translate failures. Responses that say something about a container or an image are handled inside of the block.

        Raises:
            EngineUnavailableError: the engine does not respond, or fails.
            RefusedError: it does not allow the request.
        """
        try:
            yield
        except aiodocker.DockerError as error:
            if error.status == CONNECTION_FAILED:
                raise EngineUnavailableError(_no_connection(self.address, error.__context__)) from error
            raise _failure(error.status, error.message) from error
        except aiohttp.ClientResponseError as error:
            if error.status < HTTPStatus.BAD_REQUEST:  # its body is not that of an engine
                raise EngineUnavailableError(_no_connection(self.address, error)) from error
            raise _failure(error.status, f"{error.status} {error.message}") from error
        except TimeoutError as error:
            raise EngineUnavailableError(f"The Docker engine {self.address} does not respond in time.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise EngineUnavailableError(_no_connection(self.address, error)) from error


def api_version(versions: Mapping[str, Any]) -> str:
    """Return the version of the API to use: the newest that both sides know.

    Args:
        versions: What the engine says about itself.

    Raises:
        EngineUnavailableError: there is none.
    """
    newest, oldest = _parse(versions["ApiVersion"]), _parse(versions.get("MinAPIVersion") or "1.0")
    product = f"The Docker engine has version {versions.get('Version', 'unknown')}, with versions {_text(oldest)} to {_text(newest)} of the API"
    if newest < OLDEST_API:
        raise EngineUnavailableError(f"{product}; {_text(OLDEST_API)} is needed. Install Docker 20.10 or newer.")
    if oldest > NEWEST_API:
        raise EngineUnavailableError(
            f"{product}; {_text(NEWEST_API)} is the newest that this server supports. Upgrade the server."
        )
    return f"v{_text(min(newest, NEWEST_API))}"


def _parse(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor)


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _connector(address: Address) -> aiohttp.BaseConnector:
    """Return a connector without a limit: a pull or an event stream keeps its connection, and must not make others wait."""
    scheme, _, path = address.url.partition("://")
    if scheme == "npipe":
        return aiohttp.NamedPipeConnector(path.replace("/", "\\"), limit=0)
    return aiohttp.UnixConnector(path, limit=0)


def _failure(status: int, message: str) -> EngineUnavailableError:
    """Return the error for a response with an error."""
    reason = " ".join(message.split()).rstrip(".")
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return RefusedError(f"The Docker engine refused a request: {reason}.")
    return EngineUnavailableError(f"The Docker engine failed: {reason}.")


def _no_connection(address: Address, error: BaseException | None) -> str:
    """Return a sentence about a failed connection: what was tried, and what to do."""
    reason = getattr(error, "os_error", error)
    code = getattr(reason, "errno", None)
    if code in {errno.EACCES, errno.EPERM}:
        return (
            f"No permission to use the Docker engine {address}. Add the user to the group docker with "
            "`sudo usermod -aG docker $USER`, and log in again."
        )
    if code in {errno.ENOENT, errno.ECONNREFUSED}:
        return f"The Docker engine {address} does not run. Start it, for example with `sudo systemctl start docker`."
    return f"The connection to the Docker engine {address} failed: {str(reason).rstrip('.')}."
