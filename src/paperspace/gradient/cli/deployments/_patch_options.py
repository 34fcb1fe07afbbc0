"""The options of `update` that change single fields of a spec."""

from __future__ import annotations

import shlex
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[..., Any]


def patch_options(function: Function) -> Function:
    """Add the options that change single fields. The function gets them as `patch`."""

    @click.option(
        "--env",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_parse_variables,
        help="Set an environment variable. Can be repeated.",
    )
    @click.option("--unset-env", multiple=True, metavar="NAME", help="Remove an environment variable. Can be repeated.")
    @click.option("--replicas", type=click.IntRange(0), metavar="N", help="The number of replicas to run.")
    @click.option("--instance-type", metavar="TYPE", help="The machine type.")
    @click.option(
        "--command",
        metavar="WORDS",
        callback=_split_words,
        help='The command to run, with quotes as in a shell. "" removes the command from the spec.',
    )
    @wraps(function)
    def with_patch(
        *,
        env: dict[str, str] | None,
        unset_env: tuple[str, ...],
        replicas: int | None,
        instance_type: str | None,
        command: list[str] | None,
        **others: Any,
    ) -> Any:
        from paperspace.gradient._spec.patch import Patch

        patch = Patch(None, env, unset_env or None, replicas, instance_type, command)
        return function(patch=patch, **others)

    return with_patch


def _parse_variables(
    context: click.Context,
    parameter: click.Parameter,
    values: tuple[str, ...],
) -> dict[str, str] | None:
    """Return the variables by name. An error does not show them, as they may be secret."""
    variables = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not name or not equals:
            raise click.BadParameter("expected NAME=VALUE.", context, parameter)
        variables[name] = text
    return variables or None


def _split_words(context: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    try:
        return None if value is None else shlex.split(value)
    except ValueError as error:
        message = f"{str(error)[0].lower()}{str(error)[1:]}."
        raise click.BadParameter(message, context, parameter) from error
