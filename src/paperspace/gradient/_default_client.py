"""The session that the functions of the modules run on, made when it is first needed."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from paperspace.gradient._core.defaults import DEFAULT_MAX_RESPONSE_BYTES, DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paperspace.gradient._core.session import Session
    from paperspace.gradient.config import Settings

_lock = threading.Lock()
_session: Session | None = None


def default_session() -> Session:
    """The session of the default client.

    Raises:
        ConfigurationError: There is no key, or a setting cannot be used.
    """
    if _session is None:
        from paperspace.gradient.config import Settings

        with _lock:
            if _session is None:
                _use(Settings.resolve())
    assert _session is not None  # noqa: S101  # _use has set it
    return _session


def configure(
    api_key: str | None = None,
    api_url: str | None = None,
    *,
    timeout: float = DEFAULT_TIMEOUT,
    max_retries: int = DEFAULT_MAX_RETRIES,
    max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
    allow_http_hosts: Iterable[str] = (),
) -> None:
    """Sets up the default client, which the functions of the modules run on, in place of the one before.

    What is not given comes from the environment and the configuration file, read anew. Calls that are under way end
    on the client that they began with.

    Args:
        api_key: The API key.
        api_url: The address of the GraphQL API.
        timeout: Seconds for a whole call with its resends; a list has as many for each of its pages.
        max_retries: Resends after the first try.
        max_response_bytes: Bytes of an answer, decompressed.
        allow_http_hosts: Hosts to which the key may go over plain http. Loopback addresses always are.

    Raises:
        ConfigurationError: There is no key, or a setting cannot be used.

    Example:
        >>> import paperspace.gradient
        >>> paperspace.gradient.configure(timeout=10.0)
        >>> len(deployments.list_deployments(name="mnist"))
        1
    """
    from paperspace.gradient.config import Settings

    settings = Settings.resolve(
        api_key,
        api_url,
        timeout=timeout,
        max_retries=max_retries,
        max_response_bytes=max_response_bytes,
        allow_http_hosts=allow_http_hosts,
    )
    with _lock:
        _use(settings)


def _use(settings: Settings) -> None:
    global _session  # noqa: PLW0603  # there is one default, and this module is about it
    from paperspace.gradient._core.session import Session

    _session = Session(settings)


def _renew_lock() -> None:
    """In a forked child: whoever holds the lock does not run here."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)
