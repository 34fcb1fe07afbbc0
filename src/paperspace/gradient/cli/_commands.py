"""Base classes of all commands, and the options that every command accepts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import click

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
