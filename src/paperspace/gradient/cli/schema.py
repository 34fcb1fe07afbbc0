"""`gradient schema`: the schema of a server, compared with the one that this library was made for."""

from __future__ import annotations

from pathlib import Path

import click

from paperspace.gradient.cli._commands import Group, invocation
from paperspace.gradient.cli._errors import ExitCode
from paperspace.gradient.cli._output import tell


@click.group("schema", cls=Group)
def command() -> None:
    """Compare the schema of a server with ours, or fetch it; print that of a spec.

    \b
    Example:
      gradient schema diff http://127.0.0.1:8600/graphql
    """


_OUTPUT = click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file instead."
)


@command.command()
@click.argument("source", required=False, metavar="[URL or FILE]")
def diff(source: str | None) -> None:
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

    given = invocation()
    report = schema.diff(source or given.api_url, api_key=given.api_key)
    click.echo(report)
    if report.breaks_operations:
        raise click.exceptions.Exit(ExitCode.DIFFERS)


@command.command()
@click.argument("url", required=False)
@_OUTPUT
def pull(url: str | None, output: Path | None) -> None:
    """Print the schema of the server at URL, sorted and with its descriptions.

    \b
    Example:
      gradient schema pull http://127.0.0.1:8600/graphql --output graphql/schema.graphql
    """
    from paperspace.gradient import schema

    given = invocation()
    _write(schema.pull(url or given.api_url, api_key=given.api_key), output)


@command.command()
@_OUTPUT
def spec(output: Path | None) -> None:
    """Print the JSON Schema of a spec, by which an editor completes and checks spec files.

    \b
    Example:
      gradient schema spec --output deployment-spec.schema.json
    """
    from paperspace.gradient._shared.graphql_files import spec_schema

    _write(spec_schema().read_text(encoding="utf-8"), output)


def _write(text: str, output: Path | None) -> None:
    """To the file, or else to standard output."""
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from error
    tell(f"Wrote {output}")
