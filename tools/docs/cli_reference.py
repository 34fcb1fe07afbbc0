"""Writes the second half of docs/command-line.md, from a mark on, from the help of the commands. See scripts/docs-cli."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from paperspace.gradient.cli import main as gradient
from tools import TOP

PAGE = TOP / "docs/command-line.md"
MARK = "<!-- Everything below is written by scripts/docs-cli from the help of the commands. -->\n"
WIDTH = 100


def page(text: str) -> str:
    """The page as it should be, with its first half as it is."""
    written, mark, _ = text.partition(MARK)
    if not mark:
        raise SystemExit(f"{PAGE.name} has lost its mark: {MARK}")
    return "\n".join([written + mark, *_reference(gradient, "gradient")])


def _reference(command: click.Command, words: str, parent: click.Context | None = None) -> Iterator[str]:
    """A section for the command, then those of the commands in it."""
    name = words.rpartition(" ")[2]
    context = click.Context(command, parent, name, terminal_width=WIDTH, **command.context_settings)
    yield f"## `{words}`\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for entry in command.list_commands(context):
            if inner := command.get_command(context, entry):
                yield from _reference(inner, f"{words} {entry}", context)


def main() -> int:
    """Writes the page, or compares it."""
    parser = argparse.ArgumentParser(description="Write the command-line reference from the help of the commands.")
    parser.add_argument("--check", action="store_true", help="compare only; exit code 1 where the page is stale")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page")
    arguments = parser.parse_args()
    os.environ.pop("COLUMNS", None)
    text = arguments.page.read_text(encoding="utf-8")
    expected = page(text)
    if not arguments.check:
        arguments.page.write_text(expected, encoding="utf-8")
    elif text != expected:
        print(f"{arguments.page} is stale: run scripts/docs-cli", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
