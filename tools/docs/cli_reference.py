"""Generate the reference in docs/command-line.md from the help texts of the commands. Run by scripts/docs-cli."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from paperspace.gradient.cli.main import main as gradient
from tools import TOP

PAGE = TOP / "docs/command-line.md"
MARKER = "<!-- Everything below is written by scripts/docs-cli from the help of the commands. -->\n"
WIDTH = 100


def page(text: str) -> str:
    """The page with a new reference after the marker, and the same text before it."""
    written, marker, _ = text.partition(MARKER)
    if not marker:
        raise SystemExit(f"{PAGE.name}: the marker is missing: {MARKER}")
    return "\n".join([written + marker, *_reference(gradient, "gradient")])


def _reference(command: click.Command, words: str, parent: click.Context | None = None) -> Iterator[str]:
    """The section of a command, and those of its subcommands."""
    name = words.rpartition(" ")[2]
    context = click.Context(command, parent, name, terminal_width=WIDTH, **command.context_settings)
    yield f"## `{words}`\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for subcommand_name in command.list_commands(context):
            if subcommand := command.get_command(context, subcommand_name):
                yield from _reference(subcommand, f"{words} {subcommand_name}", context)


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description="Generate the command-line reference from the help texts.")
    parser.add_argument("--check", action="store_true", help="only compare; exit code 1 if the page is out of date")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page")
    arguments = parser.parse_args()
    os.environ.pop("COLUMNS", None)
    text = arguments.page.read_text(encoding="utf-8")
    expected = page(text)
    if not arguments.check:
        arguments.page.write_text(expected, encoding="utf-8")
    elif text != expected:
        print(f"{arguments.page} is out of date: run scripts/docs-cli", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
