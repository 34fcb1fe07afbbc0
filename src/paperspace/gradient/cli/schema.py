"""`gradient schema`: the schema of a server, compared with the one that this library was made for."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

# What an exit code says: an operation of ours would break.
BREAKS_US = 8

API_KEY = click.option("--api-key", "--apiKey", metavar="KEY", help="The API key. By default that of the environment.")


@click.group("schema")
def command() -> None:
    """Compare the schema of a server with the one of this library, or fetch it."""


@command.command()
@click.argument("source", required=False, metavar="[URL or FILE]")
@API_KEY
def diff(source: str | None, api_key: str | None) -> None:
    """Show how a schema differs, and which of our operations it would break.

    The schema is that of the server at URL, or in FILE: SDL, or the JSON result of an introspection (.json). Without
    either it is that of the server that PAPERSPACE_API_URL names.

    \b
    Exit code 0: all our operations stay valid.
    Exit code 8: an operation would not be valid any more.
    Exit code 1: there was nothing to compare with.

    \b
    Example:
      gradient schema diff http://127.0.0.1:8600/graphql
    """
    from paperspace.gradient import schema

    with _errors():
        report = schema.diff(source, api_key=api_key)
    click.echo(report)
    if report.breaks_us:
        raise click.exceptions.Exit(BREAKS_US)


@command.command()
@click.argument("url", required=False)
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file instead.")
@API_KEY
def pull(url: str | None, output: Path | None, api_key: str | None) -> None:
    """Print the schema of the server at URL, sorted and with its descriptions.

    \b
    Example:
      gradient schema pull http://127.0.0.1:8600/graphql --output graphql/schema.graphql
    """
    from paperspace.gradient import schema

    with _errors():
        text = schema.pull(url, api_key=api_key)
    if output is None:
        click.echo(text, nl=False)
    else:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"{output} cannot be written: {error.strerror}") from error
        click.echo(f"Wrote {output}", err=True)


@contextmanager
def _errors() -> Iterator[None]:
    """Says what went wrong as the command does, with exit code 1."""
    from paperspace.gradient import GradientError

    try:
        yield
    except GradientError as error:
        raise click.ClickException(str(error)) from error
