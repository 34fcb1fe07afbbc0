"""Settings: what they are, their defaults, and the places that they are read from.

By precedence: arguments; the environment (`PAPERSPACE_API_KEY`, `PAPERSPACE_API_URL` and its older name
`PAPERSPACE_API_HOST`, `PAPERSPACE_ALLOW_HTTP_HOSTS`); the file `~/.paperspace/config.json` (`apiKey`, `apiUrl`), whose
folder and name `PAPERSPACE_CONFIG_PATH` and `PAPERSPACE_CONFIG_FILE_NAME` move.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, cast

from paperspace.gradient._core.defaults import (
    DEFAULT_API_URL,
    DEFAULT_MAX_RESPONSE_BYTES,
    DEFAULT_MAX_RETRIES,
    DEFAULT_TIMEOUT,
)
from paperspace.gradient.errors import ConfigurationError, MissingAPIKeyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

# Characters that a key has to have to be taken out of texts; a shorter one may be met in them by accident.
_SECRET_LENGTH = 16

CONFIG_FOLDER = "~/.paperspace"
CONFIG_FILE = "config.json"


class Sourced(NamedTuple):
    """A value, and the place that it comes from."""

    value: str
    source: str


class ArgumentNames(NamedTuple):
    """What messages call the arguments. The command line has options in their place."""

    api_key: str = "the argument api_key"
    api_url: str = "the argument api_url"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a client, complete and checked.

    Attributes:
        api_key: The API key. Not shown by repr.
        api_url: The address of the GraphQL API.
        api_key_source: Where the key comes from, for messages.
        api_url_source: Where the address comes from, for messages.
        timeout: Seconds for a whole call with its resends.
        max_retries: Resends after the first try.
        max_response_bytes: Bytes of an answer, decompressed.
    """

    api_key: str = field(repr=False)
    api_url: str = DEFAULT_API_URL
    api_key_source: str = ArgumentNames().api_key
    api_url_source: str = ArgumentNames().api_url
    timeout: float = DEFAULT_TIMEOUT
    max_retries: int = DEFAULT_MAX_RETRIES
    max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES

    def __post_init__(self) -> None:
        if not (isinstance(self.timeout, int | float) and self.timeout > 0):
            raise ConfigurationError(f"timeout is {self.timeout!r}; a number of seconds above 0 is expected")
        if not (isinstance(self.max_retries, int) and self.max_retries >= 0):
            raise ConfigurationError(f"max_retries is {self.max_retries!r}; a whole number, 0 or more, is expected")
        if not (isinstance(self.max_response_bytes, int) and self.max_response_bytes > 0):
            message = f"max_response_bytes is {self.max_response_bytes!r}; a whole number, 1 or more, is expected"
            raise ConfigurationError(message)

    def masked(self, text: str) -> str:
        """A text from elsewhere without the API key, which a server may repeat."""
        return text if len(self.api_key) < _SECRET_LENGTH else text.replace(self.api_key, "***")

    @classmethod
    def resolve(
        cls,
        api_key: str | None = None,
        api_url: str | None = None,
        *,
        argument_names: ArgumentNames = ArgumentNames(),  # noqa: B008  # immutable
        timeout: float = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        allow_http_hosts: Iterable[str] = (),
        environment: Mapping[str, str] = os.environ,
    ) -> Settings:
        """The settings from the arguments, the environment and the file, in this order.

        Raises:
            ConfigurationError: There is no key, or a setting cannot be used.
        """
        key = find_api_key(api_key, environment, argument_names)
        url = find_api_url(api_url, environment, argument_names)
        _check_key(key)
        if isinstance(allow_http_hosts, str):
            raise ConfigurationError(f"allow_http_hosts is {allow_http_hosts!r}; ({allow_http_hosts!r},) is expected")
        allowed = [*allow_http_hosts, *environment.get("PAPERSPACE_ALLOW_HTTP_HOSTS", "").split(",")]
        _check_url(url, {host.strip().lower() for host in allowed})
        return cls(
            api_key=key.value,
            api_url=url.value,
            api_key_source=key.source,
            api_url_source=url.source,
            timeout=timeout,
            max_retries=max_retries,
            max_response_bytes=max_response_bytes,
        )


def find_api_key(
    argument: str | None,
    environment: Mapping[str, str],
    argument_names: ArgumentNames = ArgumentNames(),  # noqa: B008  # immutable
) -> Sourced:
    """The API key, unchecked.

    Raises:
        MissingAPIKeyError: There is none in any of the three places.
    """
    found = _find(argument, argument_names.api_key, ("PAPERSPACE_API_KEY",), "apiKey", environment)
    if found is None:
        raise MissingAPIKeyError(
            "no API key: give api_key=..., set PAPERSPACE_API_KEY, or put apiKey into "
            f"{config_path(environment)}; without an account, `gradient server` starts a local server and prints its key"
        )
    return found


def find_api_url(
    argument: str | None,
    environment: Mapping[str, str],
    argument_names: ArgumentNames = ArgumentNames(),  # noqa: B008  # immutable
) -> Sourced:
    """The address of the API, unchecked."""
    names = ("PAPERSPACE_API_URL", "PAPERSPACE_API_HOST")
    return _find(argument, argument_names.api_url, names, "apiUrl", environment) or Sourced(
        DEFAULT_API_URL, "the default"
    )


def config_path(environment: Mapping[str, str] = os.environ) -> Path:
    """The path of the configuration file, whether or not it is there."""
    from pathlib import Path

    # Where there is no home folder, `~` stays, and no file is found; Path.expanduser would raise.
    folder = Path(os.path.expanduser(environment.get("PAPERSPACE_CONFIG_PATH") or CONFIG_FOLDER))  # noqa: PTH111
    return folder / (environment.get("PAPERSPACE_CONFIG_FILE_NAME") or CONFIG_FILE)


def read_config(environment: Mapping[str, str] = os.environ) -> dict[str, object]:
    """What the configuration file holds; empty where there is none.

    Raises:
        ConfigurationError: It cannot be read, or is not a JSON object.
    """
    import json

    path = config_path(environment)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}; mend or remove it") from None
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{path} is no JSON; mend or remove it") from None
    if not isinstance(content, dict):
        expected = "has to hold a JSON object with apiKey and perhaps apiUrl"
        raise ConfigurationError(f"{path} {expected}; mend or remove it")
    return cast("dict[str, object]", content)


def _find(
    argument: str | None, argument_name: str, variables: tuple[str, ...], entry: str, environment: Mapping[str, str]
) -> Sourced | None:
    if argument is not None:
        if not isinstance(argument, str):
            raise ConfigurationError(f"{argument_name} is no string, but of type {type(argument).__name__}")
        return Sourced(argument, argument_name)
    for variable in variables:
        if value := environment.get(variable):
            return Sourced(value, variable)
    stored = read_config(environment).get(entry)
    source = f"{entry} in {config_path(environment)}"
    if stored is not None and not isinstance(stored, str):
        raise ConfigurationError(f"{source} has to be a string")
    return Sourced(stored, source) if stored else None


def _check_key(key: Sourced) -> None:
    """A key goes into an HTTP header as it is, so it has to be plain text. The key itself is never shown."""
    if not key.value or not key.value.isascii() or not key.value.isprintable() or " " in key.value:
        raise ConfigurationError(
            f"the API key from {key.source} cannot be right: it is empty or holds a space, a line end or a character "
            "beyond ASCII; copy it again"
        )


def _check_url(url: Sourced, allowed_hosts: set[str]) -> None:
    from urllib.parse import urlsplit

    expected = ConfigurationError(f"{url.source} is no http or https address; such as {DEFAULT_API_URL} is expected")
    try:
        parts = urlsplit(url.value)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")  # as the resolver will; it refuses empty and overlong parts
    except ValueError:
        raise expected from None
    if (
        parts.scheme not in {"http", "https"}
        or not host
        or port == 0
        or not url.value.isprintable()
        or " " in url.value
    ):
        raise expected
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"the address from {url.source} holds a user or a password; give the key as api_key")
    if parts.scheme == "http" and host not in allowed_hosts and not is_loopback(host):
        raise ConfigurationError(
            f"the address from {url.source} is plain http to {host}, where anybody on the way could read the API key; "
            f"use https, or allow it by allow_http_hosts=({host!r},) or PAPERSPACE_ALLOW_HTTP_HOSTS={host}"
        )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
