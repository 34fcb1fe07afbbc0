"""The default client: the session of the functions in the modules, created when it is first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paperspace.gradient._core.frames import without_frames
from paperspace.gradient._shared.lazy import lazy_modules

if TYPE_CHECKING:
    from typing import Unpack

    from paperspace.gradient import config
    from paperspace.gradient._core import session
    from paperspace.gradient.types import ClientOptions
else:
    [config] = lazy_modules("paperspace.gradient", "config")
    [session] = lazy_modules("paperspace.gradient._core", "session")

_DEFAULT = "default"

# The session of the default client, or nothing. Whatever threads and signal handlers do at the same time, `setdefault` does not
# replace what `configure` has set, and takes no lock.
_sessions: dict[str, session.Session] = {}


def default_session() -> session.Session:
    """Return the session of the default client.

    Raises:
        ConfigurationError: There is no API key, or a setting is invalid.
    """
    return _sessions.get(_DEFAULT) or _sessions.setdefault(_DEFAULT, session.Session(config.Settings.resolve()))


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
    """Replace the session of the default client, and return the one before. None: no session; the next call creates one."""
    before = _sessions.get(_DEFAULT)
    if new is None:
        _sessions.pop(_DEFAULT, None)
    else:
        _sessions[_DEFAULT] = new
    return before
