"""The client of a command, with the settings of the command line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from paperspace.gradient._core.defaults import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT
from paperspace.gradient.cli._commands import API_KEY_OPTION, API_URL_OPTION, common_options
from paperspace.gradient.cli._outages import outages_reported

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Unpack

    from paperspace.gradient.client import Client
    from paperspace.gradient.config import Settings
    from paperspace.gradient.types import ClientOptions


@contextmanager
def connect(
    api_url: str | None = None, *, timeout: float = DEFAULT_TIMEOUT, max_retries: int = DEFAULT_MAX_RETRIES
) -> Iterator[Client]:
    """Open a client with the settings of the command line, and close it after the block.

    Args:
        api_url: The API URL from an argument of the command. It takes precedence over `--api-url`.
        timeout: Seconds for a call with its retries.
        max_retries: Retries after the first attempt.

    Raises:
        MissingAPIKeyError: no API key is set.
        ConfigurationError: a setting is invalid.
    """
    from paperspace.gradient.client import Client

    settings = settings_of_command(api_url, timeout=timeout, max_retries=max_retries)
    with outages_reported(), Client._from_settings(settings) as client:  # noqa: SLF001  # inside the package
        yield client


def settings_of_command(api_url: str | None = None, **options: Unpack[ClientOptions]) -> Settings:
    """Return the settings of the command line.

    Args:
        api_url: The API URL from an argument of the command. It takes precedence over `--api-url`.
        options: Other settings.

    Raises:
        MissingAPIKeyError: no API key is set.
        ConfigurationError: a setting is invalid.
    """
    from paperspace.gradient.config import ArgumentNames, Settings

    common = common_options()
    return Settings.resolve(
        common.api_key,
        common.api_url if api_url is None else api_url,
        argument_names=ArgumentNames(API_KEY_OPTION, API_URL_OPTION if api_url is None else "URL"),
        **options,
    )
