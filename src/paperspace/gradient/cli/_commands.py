"""What all commands share: the options that each accepts, groups that load late, and one end for all errors."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import click

from paperspace.gradient.cli import _streams
from paperspace.gradient.cli._errors import exit_code


@dataclass
class Invocation:
    """What the options that every command accepts were set to."""

    api_key: str | None = None
    api_url: str | None = None
    debug: bool = False


def invocation() -> Invocation:
    """That of the command that runs."""
    return click.get_current_context().ensure_object(Invocation)


def _note(context: click.Context, option: click.Parameter, value: object) -> None:
    """Notes an option of every command. What stands further to the right goes before."""
    if value is not None and value is not False:  # an empty key is one, and not that of the environment
        setattr(context.ensure_object(Invocation), str(option.name), value)


def _everywhere() -> list[click.Parameter]:
    """The options of every command, so that they may stand wherever one thinks of them."""
    option = partial(click.Option, expose_value=False, callback=_note)
    return [
        option(["--api-key", "--apiKey", "api_key"], metavar="KEY", help="The API key."),
        option(["--api-url"], metavar="URL", help="The address of the GraphQL API."),
        option(["--debug"], is_flag=True, is_eager=True, help="Tell everything about an error."),
    ]


class Command(click.Command):
    """A command with the options that every command accepts."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += _everywhere()


class Group(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += _everywhere()


class Late(NamedTuple):
    """A command that is imported when it is needed: where it is, and what the help says of it until then."""

    module: str
    attribute: str
    summary: str


class Main(Group):
    """The command of all commands. Its help, and the help of each other one, import no more than they show."""

    def __init__(self, *args: Any, late: dict[str, Late], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.late = late

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # as click has it
        """The names, in the order of the help."""
        return list(self.late)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # as click has it
        """The command itself, imported now."""
        if cmd_name not in self.late:
            return None
        late = self.late[cmd_name]
        command: click.Command = getattr(import_module(late.module), late.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # the same
        """The list of commands in the help, written without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, late.summary) for name, late in self.late.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise click.Abort from error  # before click writes an empty line, terminal or not

    def main(self, *args: Any, **settings: Any) -> NoReturn:
        """Runs the whole thing and leaves the process with the exit code that its end has."""
        _streams.complete()
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a name that the encoding lacks is no reason to fail
        given = Invocation()
        settings |= {"standalone_mode": False, "obj": given}
        sys.exit(exit_code(lambda: super(Main, self).main(*args, **settings), lambda: given.debug))
