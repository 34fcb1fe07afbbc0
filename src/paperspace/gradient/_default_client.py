"""The default client: the session of the functions in the modules, created when it is first needed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from paperspace.gradient._core.frames import without_frames
from paperspace.gradient._shared.fork import at_fork
from paperspace.gradient._shared.lazy import lazy_modules

if TYPE_CHECKING:
    from typing import Unpack

    from paperspace.gradient import config
    from paperspace.gradient._core import session
    from paperspace.gradient.types import ClientOptions
else:
    [config] = lazy_modules("paperspace.gradient", "config")
    [session] = lazy_modules("paperspace.gradient._core", "session")

_lock = threading.Lock()
_session: session.Session | None = None


def default_session() -> session.Session:
    """Return the session of the default client.

    Raises:
        ConfigurationError: There is no API key, or a setting is invalid.
    """
    current = _session
    if current is None:
        # Not while the lock is held: a signal handler may make a call meanwhile, in another thread that needs the lock.
        created = session.Session(config.Settings.resolve())
        with _lock:
            current = _session or created
            replace_session(current)
    return current


@without_frames
def configure(api_key: str | None = None, api_url: str | None = None, **options: Unpack[ClientOptions]) -> None:
    """Replace the default client, which the functions of the modules use.

    Settings that are not passed come from the environment and the configuration file, which are read again. Calls in
    progress continue with the client that they began with.

    Args:
        api_key: The API key.
        api_url: The URL of the GraphQL API.
        timeout: Seconds for a whole call with its retries; for a list, the timeout applies to each page separately.
            Default: 30.
        max_retries: Retries after the first attempt. Default: 5.
        max_response_bytes: The largest response in bytes, decompressed. Default: 32 MiB.
        allow_http_hosts: Hosts to which the API key may be sent over plain http. Loopback addresses are always allowed.
        max_poll_interval: Seconds between two polls of a wait or a log, at most; they are shorter at first. Default:
            `PAPERSPACE_MAX_POLL_INTERVAL`, or 5.

    Raises:
        ConfigurationError: There is no API key, or a setting is invalid.

    Example:
        >>> import paperspace.gradient
        >>> paperspace.gradient.configure(timeout=10.0)
        >>> len(deployments.list_deployments(name="mnist"))
        1
    """
    replace_session(session.Session(config.Settings.resolve(api_key, api_url, **options)))


def replace_session(new: session.Session | None) -> session.Session | None:
    """Replace the session of the default client, and return the one before. None: there is none, and the next call creates it."""
    global _session  # there is one default client
    before, _session = _session, new
    return before


def _after_fork_in_child() -> None:
    """Replace the lock: the thread that may hold it does not run in the child."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()


at_fork(after_in_child=_after_fork_in_child)
