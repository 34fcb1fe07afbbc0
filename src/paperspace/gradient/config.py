"""Settings of a client: what they are, and where they are read from.

By precedence: arguments; the environment (`PAPERSPACE_API_KEY`, `PAPERSPACE_API_URL` and its older name
`PAPERSPACE_API_HOST`, `PAPERSPACE_ALLOW_HTTP_HOSTS`, `PAPERSPACE_MAX_POLL_INTERVAL`); the file `~/.paperspace/config.json` (`apiKey`, `apiUrl`), whose
folder and name `PAPERSPACE_CONFIG_PATH` and `PAPERSPACE_CONFIG_FILE_NAME` change.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401  # else str.encode imports it, and a fork does not wait for that
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from paperspace.gradient._core.defaults import (
    DEFAULT_API_URL,
    DEFAULT_MAX_POLL_INTERVAL,
    DEFAULT_MAX_RESPONSE_BYTES,
    DEFAULT_MAX_RETRIES,
    DEFAULT_TIMEOUT,
    EXAMPLE_API_URL,
)
from paperspace.gradient._core.frames import without_frames
from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient._shared.problems import abbreviate
from paperspace.gradient._shared.secrets import without_secret
from paperspace.gradient.errors import ConfigurationError, MissingAPIKeyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Unpack

    from paperspace.gradient._shared import private_files
    from paperspace.gradient.types import ClientOptions
else:
    [private_files] = lazy_modules("paperspace.gradient._shared", "private_files")

# A shorter key is not masked in texts, where it may occur by accident.
_MIN_MASKED_LENGTH = 16

CONFIG_FOLDER = "~/.paperspace"
CONFIG_FILE = "config.json"


class SettingValue(NamedTuple):
    """The value of a setting, and where it comes from."""

    value: str
    source: str


class Sources:
    """The environment and the configuration file. The file is read once, when it is first needed.

    Another process may replace the file at any time. An API key of the one state is not to be sent to the API URL of the other.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self.environment = environment
        self._file: dict[str, object] | None = None

    def stored(self, key: str) -> object:
        """Return an entry of the configuration file. None: there is none.

        Raises:
            ConfigurationError: The file cannot be read, or is not a JSON object.
        """
        if self._file is None:
            self._file = read_config(self.environment)
        return self._file.get(key)


class ArgumentNames(NamedTuple):
    """What messages call the arguments. The command line has options in their place."""

    api_key: str = "the argument api_key"
    api_url: str = "the argument api_url"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a client, complete and valid.

    Attributes:
        api_key: The API key. Not shown by repr.
        api_url: The URL of the GraphQL API.
        api_key_source: Where the API key comes from, for messages.
        api_url_source: Where the API URL comes from, for messages.
        timeout: Seconds for a whole call with its retries.
        max_retries: Retries after the first attempt.
        max_response_bytes: Bytes of a response, decompressed.
        allow_http_hosts: Hosts to which the API key may be sent over plain http.
        max_poll_interval: Seconds between two polls of a wait or a log.
    """

    api_key: str = field(repr=False)
    api_url: str = DEFAULT_API_URL
    api_key_source: str = ArgumentNames().api_key
    api_url_source: str = ArgumentNames().api_url
    timeout: float = DEFAULT_TIMEOUT
    max_retries: int = DEFAULT_MAX_RETRIES
    max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES
    allow_http_hosts: Iterable[str] = ()
    max_poll_interval: float = DEFAULT_MAX_POLL_INTERVAL

    def __post_init__(self) -> None:
        if not is_timeout(self.timeout):
            raise _invalid("timeout", "a number of seconds above 0", self.timeout)
        if not (isinstance(self.max_retries, int) and self.max_retries >= 0):
            raise _invalid("max_retries", "an integer, 0 or more", self.max_retries)
        if not (isinstance(self.max_response_bytes, int) and self.max_response_bytes > 0):
            raise _invalid("max_response_bytes", "an integer, 1 or more", self.max_response_bytes)
        if not is_timeout(self.max_poll_interval):
            raise _invalid("max_poll_interval", "a number of seconds above 0", self.max_poll_interval)

    def masked(self, text: str) -> str:
        """Return a text of the server without the API key, which the server may repeat."""
        return text if len(self.api_key) < _MIN_MASKED_LENGTH else without_secret(text, self.api_key)

    @classmethod
    @without_frames
    def resolve(
        cls,
        api_key: str | None = None,
        api_url: str | None = None,
        *,
        environment: Mapping[str, str] = os.environ,
        argument_names: ArgumentNames = ArgumentNames(),  # noqa: B008  # immutable
        **options: Unpack[ClientOptions],
    ) -> Settings:
        """Return the settings from the arguments, the environment and the configuration file, in this order.

        Raises:
            ConfigurationError: There is no API key, or a setting is invalid.
        """
        sources = Sources(environment)
        key = find_api_key(api_key, sources, argument_names)
        url = find_api_url(api_url, sources, argument_names)
        _check_key(key)
        _check_url(url, _allowed_hosts(options.get("allow_http_hosts", ()), environment))
        options = {"max_poll_interval": _max_poll_interval(environment), **options}
        return cls(
            api_key=key.value, api_url=url.value, api_key_source=key.source, api_url_source=url.source, **options
        )


def find_api_key(
    argument: str | None,
    sources: Sources,
    argument_names: ArgumentNames = ArgumentNames(),  # noqa: B008  # immutable
) -> SettingValue:
    """Return the API key, not checked.

    Raises:
        MissingAPIKeyError: There is no API key.
    """
    key = _find(argument, argument_names.api_key, ("PAPERSPACE_API_KEY",), "apiKey", sources)
    if key is None:
        raise MissingAPIKeyError(
            f"no API key: pass api_key=..., set PAPERSPACE_API_KEY, or store apiKey in {config_path(sources.environment)}; "
            "`gradient server` starts a local server, which needs no account, and prints its API key"
        )
    return key


def find_api_url(
    argument: str | None,
    sources: Sources,
    argument_names: ArgumentNames = ArgumentNames(),  # noqa: B008  # immutable
) -> SettingValue:
    """Return the URL of the API, not checked."""
    variables = ("PAPERSPACE_API_URL", "PAPERSPACE_API_HOST")
    url = _find(argument, argument_names.api_url, variables, "apiUrl", sources)
    return url or SettingValue(DEFAULT_API_URL, "the default")


def config_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the configuration file, whether or not it exists."""
    from pathlib import Path

    # Without a home folder, `~` stays in the path, and no file is found. Path.expanduser would raise.
    folder = Path(os.path.expanduser(environment.get("PAPERSPACE_CONFIG_PATH") or CONFIG_FOLDER))  # noqa: PTH111
    return folder / (environment.get("PAPERSPACE_CONFIG_FILE_NAME") or CONFIG_FILE)


def read_config(environment: Mapping[str, str] = os.environ) -> dict[str, object]:
    """Return the content of the configuration file. Empty if the file does not exist.

    Raises:
        ConfigurationError: It cannot be read, or is not a JSON object.
    """
    import json

    path = config_path(environment)
    try:
        content = json.loads(private_files.read_private(path).decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}; fix or remove it") from None
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{path}: invalid JSON; fix or remove it") from None
    if not isinstance(content, dict):
        expected = "expected a JSON object with apiKey and, optionally, apiUrl"
        raise ConfigurationError(f"{path}: {expected}; fix or remove it")
    return cast("dict[str, object]", content)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _find(
    argument: str | None, argument_name: str, variables: tuple[str, ...], key: str, sources: Sources
) -> SettingValue | None:
    if argument is not None:
        if not isinstance(argument, str):
            raise ConfigurationError(
                f"{argument_name}: expected a string, got a value of type {type(argument).__name__}"
            )
        return SettingValue(argument, argument_name)
    for variable in variables:
        if value := sources.environment.get(variable):
            return SettingValue(value, variable)
    stored = sources.stored(key)
    source = f"{key} in {config_path(sources.environment)}"
    if stored is not None and not isinstance(stored, str):
        raise ConfigurationError(f"{source}: expected a string")
    return SettingValue(stored, source) if stored else None


def _check_key(key: SettingValue) -> None:
    """Check that a key can be sent as an HTTP header. The message does not show it."""
    if not key.value or not key.value.isascii() or not key.value.isprintable() or " " in key.value:
        raise ConfigurationError(
            f"invalid API key from {key.source}: it is empty, or has a space, a line break or a non-ASCII character; "
            "copy it again"
        )


def _allowed_hosts(argument: object, environment: Mapping[str, str]) -> set[str]:
    """Return the hosts to which the API key may be sent over plain http."""
    hosts: list[Any] = [*argument] if isinstance(argument, Iterable) and not isinstance(argument, str) else [None]
    if not all(isinstance(host, str) for host in hosts):
        example = argument if isinstance(argument, str) else "gradient.example.com"
        raise _invalid("allow_http_hosts", f"a tuple such as ({example!r},)", argument)
    names = [*hosts, *environment.get("PAPERSPACE_ALLOW_HTTP_HOSTS", "").split(",")]
    return {name.strip().lower() for name in names}


def _max_poll_interval(environment: Mapping[str, str]) -> float:
    """Return the interval from the environment, or the default."""
    text = environment.get("PAPERSPACE_MAX_POLL_INTERVAL")
    if not text:
        return DEFAULT_MAX_POLL_INTERVAL
    try:
        interval = float(text)
    except ValueError:
        interval = 0.0
    if not is_timeout(interval):
        raise _invalid("PAPERSPACE_MAX_POLL_INTERVAL", "a number of seconds above 0", text)
    return interval


def _check_url(url: SettingValue, allowed_hosts: set[str]) -> None:
    from urllib.parse import urlsplit

    invalid = ConfigurationError(f"invalid API URL from {url.source}: expected a URL such as {EXAMPLE_API_URL}")
    try:
        parts = urlsplit(url.value)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")  # as the resolver will; it refuses empty and overlong labels
    except ValueError:
        raise invalid from None
    if (
        parts.scheme not in {"http", "https"}
        or not host
        or port == 0
        or not url.value.isprintable()
        or " " in url.value
    ):
        raise invalid
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"the API URL from {url.source} has a user or a password; pass the API key as api_key")
    if parts.scheme == "http" and host not in allowed_hosts and not is_loopback(host):
        raise ConfigurationError(
            f"the API URL from {url.source} uses plain http to {host}, which would expose the API key on the network; "
            f"use https, or allow it with allow_http_hosts=({host!r},) or PAPERSPACE_ALLOW_HTTP_HOSTS={host}"
        )


def is_timeout(value: object) -> bool:
    """Return whether a value is a number of seconds above 0. Infinity is one; integers that exceed all floats are not."""
    return isinstance(value, int | float) and (0 < value <= sys.float_info.max or value == float("inf"))


def _invalid(setting: str, expected: str, value: object) -> ConfigurationError:
    return ConfigurationError(f"{setting}: expected {expected}, got {abbreviate(value)!r}")
