"""Clients: the functions with settings and connections of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar, overload

from paperspace.gradient._core.frames import without_frames
from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient._sync.blocking import blocking
from paperspace.gradient.deployments import Deployments
from paperspace.gradient.deployments._api import AsyncDeployments

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Unpack

    from paperspace.gradient import config
    from paperspace.gradient._core import session
    from paperspace.gradient._core.session import Session
    from paperspace.gradient._sync import loop_thread
    from paperspace.gradient.types import ClientOptions
else:
    [config] = lazy_modules("paperspace.gradient", "config")
    [session] = lazy_modules("paperspace.gradient._core", "session")
    [loop_thread] = lazy_modules("paperspace.gradient._sync", "loop_thread")

R = TypeVar("R")


class _BaseClient:
    """What both clients have in common."""

    @without_frames
    def __init__(
        self, api_key: str | None = None, api_url: str | None = None, **options: Unpack[ClientOptions]
    ) -> None:
        self._bind(session.Session(config.Settings.resolve(api_key, api_url, **options)))

    @classmethod
    def _from_settings(cls, settings: config.Settings) -> Self:
        """Return a client with settings that are already resolved. The command line has its own way to resolve them."""
        client = cls.__new__(cls)
        client._bind(session.Session(settings))  # noqa: SLF001  # the same class
        return client

    def _bind(self, session: Session) -> None:
        self._session = session

    def with_options(self, *, timeout: float | None = None, max_retries: int | None = None) -> Self:
        """Return a client with other settings that shares the connections of this one. If you close one, both are closed.

        Args:
            timeout: Seconds for a whole call with its retries. None: no change.
            max_retries: Retries after the first attempt. None: no change.

        Raises:
            ConfigurationError: A setting is invalid.

        Example:
            >>> from paperspace.gradient import Client
            >>> with Client() as client:
            ...     len(client.with_options(timeout=5.0).deployments.list_deployments(name="mnist"))
            1
        """
        options = {"timeout": timeout, "max_retries": max_retries}
        changes = {name: value for name, value in options.items() if value is not None}
        other = self.__new__(type(self))  # not by copy.copy, which takes long to import
        vars(other).update(vars(self))
        other._bind(self._session.with_settings(**changes))  # noqa: SLF001  # the same class
        return other

    def __repr__(self) -> str:
        session = vars(self).get("_session")  # a crash reporter shows an object that its constructor could not complete
        settings = f"api_url={session.settings.api_url!r}" if session else ""
        return f"{type(self).__name__}({settings})"


class _CustomOperations:
    """Runs operations written by the user."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @overload
    async def execute(
        self,
        document: str | Path,
        variables: Mapping[str, object] | None = None,
        *,
        check: bool = True,
        idempotent: bool = False,
    ) -> dict[str, object]: ...

    @overload
    async def execute(
        self,
        document: str | Path,
        variables: Mapping[str, object] | None = None,
        *,
        result: type[R],
        check: bool = True,
        idempotent: bool = False,
    ) -> R: ...

    async def execute(
        self,
        document: str | Path,
        variables: Mapping[str, object] | None = None,
        *,
        result: type[R] | None = None,
        check: bool = True,
        idempotent: bool = False,
    ) -> R | dict[str, object]:
        """Run a GraphQL operation of your own, with the errors, the deadline and the retries of the functions.

        Args:
            document: The path of a `.graphql` file with one named operation, or the text of such an operation. Each
                fragment that it uses is in the same text, or in a file of the same folder that has the name of the
                fragment.
            variables: The variables of the operation.
            result: A TypedDict that describes the data. Fields that it does not have are dropped. None: the data is
                not validated.
            check: Whether the operation must be valid against the schema of this library. False: for a server with a
                newer schema.
            idempotent: Whether a mutation may be retried when its response was lost. Queries are always retried.

        Returns:
            The data of the response.

        Raises:
            InvalidArgumentError: The operation cannot be read or is invalid; the message says where. Nothing was sent.
            APIError: The request failed.

        Example:
            >>> from paperspace.gradient import Client
            >>> with Client() as client:
            ...     client.execute("query Newest { deployments(first: 1) { nodes { name } } }")
            {'deployments': {'nodes': [{'name': 'mnist'}]}}
        """
        return await self._session.execute(
            document, {} if variables is None else variables, result, check=check, idempotent=idempotent
        )


class Client(_BaseClient):
    """A client for sync code. Use it from any number of threads. Close it, best with a `with` statement.

    It cannot be pickled: create one in each process.

    Args:
        api_key: The API key. None: `PAPERSPACE_API_KEY`, or `apiKey` in `~/.paperspace/config.json`.
        api_url: The URL of the GraphQL API. None: `PAPERSPACE_API_URL`, `PAPERSPACE_API_HOST`, or `apiUrl` in the same
            file; else the former hosted API, which does not run any more.
        timeout: Seconds for a whole call with its retries; for a list, the timeout applies to each page separately.
            Default: 30.
        max_retries: Retries after the first attempt. Default: 5.
        max_response_bytes: The largest response in bytes, decompressed. Default: 32 MiB.
        allow_http_hosts: Hosts to which the API key may be sent over plain http. Loopback addresses are always allowed.
        max_poll_interval: Seconds between two polls of a wait or a log, at most; they are shorter at first. Default:
            `PAPERSPACE_MAX_POLL_INTERVAL`, or 5.

    Attributes:
        deployments: The functions of `paperspace.gradient.deployments`, with the settings of this client.

    Raises:
        ConfigurationError: There is no API key, or a setting is invalid.

    Example:
        >>> from paperspace.gradient import Client
        >>> with Client(timeout=10.0) as client:
        ...     [deployment["name"] for deployment in client.deployments.list_deployments(project_id="p1")]
        ['mnist']
    """

    deployments: Deployments
    execute = blocking(_CustomOperations.execute)

    def _bind(self, session: Session) -> None:
        super()._bind(session)
        self._async = _CustomOperations(session)
        self.deployments = Deployments(lambda: session)

    def close(self) -> None:
        """Close the connections. Calls in progress, and later calls, end with ClientClosedError.

        Example:
            >>> from paperspace.gradient import Client
            >>> client = Client()
            >>> client.close()
        """
        loop_thread.run(self._session.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_BaseClient, _CustomOperations):
    """A client for async code. Close it, best with an `async with` statement.

    It may be used on several event loops. Each has connections of its own, which are closed when the loop ends.
    It cannot be pickled: create one in each process.

    Args:
        api_key: The API key. None: as for `Client`.
        api_url: The URL of the GraphQL API. None: as for `Client`.
        timeout: Seconds for a whole call with its retries; for a list, the timeout applies to each page separately.
            Default: 30.
        max_retries: Retries after the first attempt. Default: 5.
        max_response_bytes: The largest response in bytes, decompressed. Default: 32 MiB.
        allow_http_hosts: Hosts to which the API key may be sent over plain http. Loopback addresses are always allowed.
        max_poll_interval: Seconds between two polls of a wait or a log, at most; they are shorter at first. Default:
            `PAPERSPACE_MAX_POLL_INTERVAL`, or 5.

    Attributes:
        deployments: The functions of `paperspace.gradient.aio.deployments`, with the settings of this client.

    Raises:
        ConfigurationError: There is no API key, or a setting is invalid.

    Example:
        >>> import asyncio
        >>> from paperspace.gradient import AsyncClient
        >>> async def names():
        ...     async with AsyncClient() as client:
        ...         return [deployment["name"] async for deployment in client.deployments.iter_deployments()]
        >>> asyncio.run(names())
        ['mnist']
    """

    deployments: AsyncDeployments

    def _bind(self, session: Session) -> None:
        super()._bind(session)
        self.deployments = AsyncDeployments(lambda: session)

    async def close(self) -> None:
        """Close the connections. Calls in progress, and later calls, end with ClientClosedError.

        Example:
            >>> import asyncio
            >>> from paperspace.gradient import AsyncClient
            >>> client = AsyncClient()
            >>> asyncio.run(client.close())
        """
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
