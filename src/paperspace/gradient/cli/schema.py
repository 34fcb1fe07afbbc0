"""`gradient schema`: compare the schema of a server with the schema of this library, and print schemas."""

from __future__ import annotations

from pathlib import Path

import click

from paperspace.gradient._shared.whole_files import write_whole
from paperspace.gradient.cli._client import connect
from paperspace.gradient.cli._commands import Group
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli._output import print_message


@click.group("schema", cls=Group)
def command() -> None:
    """Compare and fetch GraphQL schemas; print the spec schema.

    \b
    Example:
      gradient schema diff http://127.0.0.1:8600/graphql
    """


_OUTPUT_OPTION = click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file."
)


@command.command()
@click.argument("source", required=False, metavar="[URL or FILE]")
@click.option("--descriptions", is_flag=True, help="Compare descriptions too.")
def diff(source: str | None, descriptions: bool) -> None:
    """Compare another schema with the schema of this library.

    It also names the functions of the library that break with the other schema.

    The other schema comes from the server at URL or from FILE. By default, it comes from the server at the configured API
    URL. FILE contains a schema in SDL, the schema language of GraphQL. A FILE that ends with .json contains the
    result of an introspection query.

    A function breaks if the server may reject its requests, or send a result that the function does not accept, such
    as a null that the schema of this library excludes.

    \b
    Exit codes:
      0  all functions work with the other schema
      8  a function breaks; the output shows why
      other codes: the other schema cannot be read

    \b
    Examples:
      gradient schema diff http://127.0.0.1:8600/graphql
      gradient schema diff schema.graphql --descriptions
    """
    from paperspace.gradient import schema

    if source is None or schema.is_url(source):
        with connect(source) as client:
            other = schema.fetch(client)
    else:
        other = schema.read_file(source)
    report = schema.compare(other, descriptions=descriptions)
    click.echo(report)
    if report.broken_functions:
        raise click.exceptions.Exit(ExitCode.DIFFERENT)


@command.command()
@click.argument("url", required=False)
@_OUTPUT_OPTION
def pull(url: str | None, output: Path | None) -> None:
    """Print the schema of the server at URL as sorted SDL (the schema language of GraphQL), with descriptions.

    Without URL, it uses the configured API URL.

    \b
    Example:
      gradient schema pull http://127.0.0.1:8600/graphql --output graphql/schema.graphql
    """
    from paperspace.gradient import schema

    with connect(url) as client:
        text = schema.to_sdl(schema.fetch(client))
    _write(text, output)


@command.command()
@_OUTPUT_OPTION
def spec(output: Path | None) -> None:
    """Print the JSON Schema of a spec, for completion and validation in editors.

    \b
    Example:
      gradient schema spec --output deployment-spec.schema.json
    """
    from paperspace.gradient._shared.graphql_files import SPEC_SCHEMA, package_loader

    _write(package_loader.get_data(str(SPEC_SCHEMA)).decode(), output)


def _write(text: str, output: Path | None) -> None:
    """Write a text to a file, or to standard output."""
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        write_whole(output, text.encode())
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror}") from error
    print_message(f"Wrote {output}")
