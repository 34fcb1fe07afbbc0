"""Clients: settings and connections of one's own, and the functions on them."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Self, TypeVar, overload

from paperspace.gradient._core.defaults import DEFAULT_MAX_RESPONSE_BYTES, DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT
from paperspace.gradient._sync.blocking import blocking
from paperspace.gradient.deployments import Deployments
from paperspace.gradient.deployments._api import AsyncDeployments

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from types import TracebackType

    from paperspace.gradient._core.session import Session
    from paperspace.gradient.config import Settings

R = TypeVar("R")


class _BaseClient:
    """What both clients have in common: everything but waiting."""

    def __init__(
        self,
        api_key: str | None = None,
        api_url: str | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        allow_http_hosts: Iterable[str] = (),
    ) -> None:
        from paperspace.gradient._core.session import Session
        from paperspace.gradient.config import Settings

        settings = Settings.resolve(
            api_key,
            api_url,
            timeout=timeout,
            max_retries=max_retries,
            max_response_bytes=max_response_bytes,
            allow_http_hosts=allow_http_hosts,
        )
        self._bind(Session(settings))

    @classmethod
    def _from_settings(cls, settings: Settings) -> Self:
        """Create a client with settings that are already resolved."""
        from paperspace.gradient._core.session import Session

        client = cls.__new__(cls)
        client._bind(Session(settings))  # noqa: SLF001  # in place of __init__, which would resolve the settings
        return client

    def _bind(self, session: Session) -> None:
        self._session = session

    def with_options(self, *, timeout: float | None = None, max_retries: int | None = None) -> Self:
        """A client with other settings that shares the connections of this one; closing either closes both.

        Args:
            timeout: Seconds for a whole call with its resends. None: as here.
            max_retries: Resends after the first try. None: as here.

        Raises:
            ConfigurationError: A setting cannot be used.

        Example:
            >>> from paperspace.gradient import Client
            >>> with Client() as client:
            ...     len(client.with_options(timeout=5.0).deployments.list_deployments(name="mnist"))
            1
        """
        given = {"timeout": timeout, "max_retries": max_retries}
        changes = {name: value for name, value in given.items() if value is not None}
        other = copy(self)
        other._bind(self._session.with_settings(**changes))  # noqa: SLF001  # one of our own
        return other

    def __repr__(self) -> str:
        return f"{type(self).__name__}(api_url={self._session.settings.api_url!r})"


class _OwnOperations:
    """Runs operations that a user wrote."""

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
        """Runs an operation of your own, with the errors, the deadline and the resends of the functions.

        Args:
            document: The path of a `.graphql` file with one named operation, which may spread fragments that it holds
                itself or that lie beside it in files of their names; or the text of such an operation.
            variables: Its variables.
            result: The TypedDict that the data have to fit; what it does not name is left out. None: as they come.
            check: Whether the operation has to be valid against the schema of this library. False: the server knows
                more than that.
            idempotent: Whether a mutation may be sent again when its answer was lost. Queries always are.

        Returns:
            The data of the answer.

        Raises:
            InvalidArgumentError: The operation cannot be read or is not valid; says where. Nothing was sent.
            APIError: The call did not come out.

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
    """A client for synchronous code. Use it from as many threads as you like, and close it, best by `with`.

    Args:
        api_key: The API key. None: from `PAPERSPACE_API_KEY`, or `apiKey` in `~/.paperspace/config.json`.
        api_url: The address of the GraphQL API. None: from `PAPERSPACE_API_URL`, `PAPERSPACE_API_HOST`, or `apiUrl` in
            the same file; where there is none, the hosted API.
        timeout: Seconds for a whole call with its resends; a list has as many for each of its pages.
        max_retries: Resends after the first try.
        max_response_bytes: Bytes of an answer, decompressed.
        allow_http_hosts: Hosts to which the key may go over plain http. Loopback addresses always are.

    Attributes:
        deployments: The functions of `paperspace.gradient.deployments`, on this client.

    Raises:
        ConfigurationError: There is no key, or a setting cannot be used.

    Example:
        >>> from paperspace.gradient import Client
        >>> with Client(timeout=10.0) as client:
        ...     [deployment["name"] for deployment in client.deployments.list_deployments(project_id="p1")]
        ['mnist']
    """

    deployments: Deployments
    execute = blocking(_OwnOperations.execute)

    def _bind(self, session: Session) -> None:
        super()._bind(session)
        self._awaited = _OwnOperations(session)
        self.deployments = Deployments(lambda: session)

    def close(self) -> None:
        """Closes the connections. Calls that are under way, and later ones, end with ClientClosedError.

        Example:
            >>> from paperspace.gradient import Client
            >>> client = Client()
            >>> client.close()
        """
        from paperspace.gradient._sync.loop_thread import run

        run(self._session.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_BaseClient, _OwnOperations):
    """A client for asynchronous code. Close it, best by `async with`.

    It may be used on several event loops; each has connections of its own, which end with it.

    Args:
        api_key: As for `Client`, and so are the others.
        api_url: The address of the GraphQL API.
        timeout: Seconds for a whole call with its resends; a list has as many for each of its pages.
        max_retries: Resends after the first try.
        max_response_bytes: Bytes of an answer, decompressed.
        allow_http_hosts: Hosts to which the key may go over plain http. Loopback addresses always are.

    Attributes:
        deployments: The functions of `paperspace.gradient.aio.deployments`, on this client.

    Raises:
        ConfigurationError: There is no key, or a setting cannot be used.

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
        """Closes the connections. Calls that are under way, and later ones, end with ClientClosedError.

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
