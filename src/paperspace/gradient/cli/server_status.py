"""`gradient server status`: the state of the server, its engine, gateway, disk and deployments, and what is wrong."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from paperspace.gradient._version import __version__
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli._output import output_option, print_data, printable, wrap
from paperspace.gradient.cli._server_database import database_file, database_option
from paperspace.gradient.cli._server_engine import left_behind
from paperspace.gradient.cli.server_control import control_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@click.command("status")
@database_option
@output_option("json")
@click.pass_context
def status(context: click.Context, database: str | None, output: str | None) -> None:
    """Show whether the server, its engine, its gateway and its deployments are well, and what to do if not.

    \b
    Exit codes:
      0  all is well
      1  something is wrong
      3  the server does not run

    \b
    Example:
      gradient server status
    """
    report = asyncio.run(_report(database_file(database)))
    if output:
        print_data(report, output)
    else:
        text = printable("\n".join(_lines(report)))
        click.echo(wrap(text) if sys.stdout.isatty() else text)
    if report["server"] is None:
        context.exit(ExitCode.NOT_FOUND)
    context.exit(ExitCode.FAILED if report["problems"] else ExitCode.SUCCESS)


async def _report(path: Path) -> dict[str, Any]:
    from paperspace.gradient.server.control.report import describe_disk, problems

    async with control_of(path) as control:
        report = await control.status()
    disk = {**describe_disk(path), "problem": report.pop("problem", None)}
    names = ("server", "engine", "gateway", "deployments", "unknownContainers")
    report = {"database": disk, **{name: report[name] for name in names}}
    found = list(problems(report, __version__))
    if left := await left_behind(path):
        found.append(left)
    return {**report, "problems": found}


def _lines(report: dict[str, Any]) -> Iterator[str]:
    server, engine, gateway, database = (report[name] for name in ("server", "engine", "gateway", "database"))
    if server:
        yield f"Server:       running since {server['since']}, version {server['version']}, process {server['pid']}"
        yield f"API URL:      {server['url']}"
    else:
        yield "Server:       not running"
    if engine:
        yield f"Engine:       {engine['version'] or engine['name']}{', not available' if engine['problem'] else ''}"
    if gateway:
        yield f"Gateway:      {'running' if gateway['running'] else 'not running'}{_on(gateway['address'])}"
    if deployments := report["deployments"]:
        yield "Deployments:  " + ", ".join(f"{number} {state}" for state, number in deployments["counts"].items())
    yield f"Database:     {database['path']}, {_size(database['size'])}; {_size(database['free'])} free"
    if report["unknownContainers"]:
        yield f"Containers:   {len(report['unknownContainers'])} unknown"
    if report["problems"]:
        yield "\nProblems:"
        yield from (f"- {problem}" for problem in report["problems"])
    else:
        yield "\nNo problems."


def _on(address: str | None) -> str:
    return f" on {address}" if address else ""


def _size(number: float) -> str:
    """Return a number of bytes for people, such as 1.4 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:  # noqa: PLR2004  # the units are powers of it
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"
