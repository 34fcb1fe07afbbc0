"""Base classes of all commands, the options that every command accepts, and the client that these options configure."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from paperspace.gradient._core.defaults import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Unpack

    from paperspace.gradient.client import Client
    from paperspace.gradient.config import Settings
    from paperspace.gradient.types import ClientOptions

API_KEY_OPTION = "--api-key"
API_URL_OPTION = "--api-url"


@dataclass
class CommonOptions:
    """The values of the options that every command accepts.

    Attributes:
        output_failed: Whether results of the command could not be written to standard output.
    """

    api_key: str | None = None
    api_url: str | None = None
    debug: bool = False
    output_failed: bool = False


def common_options() -> CommonOptions:
    """Return the options of the command that is running."""
    return click.get_current_context().ensure_object(CommonOptions)


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
    from paperspace.gradient.cli._outages import outages_reported
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
        api_url or common.api_url,
        argument_names=ArgumentNames(API_KEY_OPTION, "URL" if api_url else API_URL_OPTION),
        **options,
    )


def _store_option(context: click.Context, option: click.Parameter, value: object) -> None:
    """Store the value of a common option. The last one is used."""
    if value is not None and value is not False:  # an empty key is an error, not the key of the environment
        setattr(context.ensure_object(CommonOptions), str(option.name), value)


def _common_parameters() -> list[click.Parameter]:
    """Return the common options, which may be before or after each subcommand."""
    option = partial(click.Option, expose_value=False, callback=_store_option)
    return [
        option([API_KEY_OPTION, "--apiKey", "api_key"], metavar="KEY", help="The API key."),
        option([API_URL_OPTION], metavar="URL", help="The URL of the GraphQL API."),
        option(["--debug"], is_flag=True, is_eager=True, help="Show the traceback and all details of an error."),
    ]


class Command(click.Command):
    """A command with the common options."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += _common_parameters()


class Group(click.Group):
    """A group of commands with the common options."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += _common_parameters()
