"""Results as text: what a terminal may be given, JSON, YAML, and lines."""

from __future__ import annotations

import os
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

import click

from paperspace.gradient.cli._streams import give_up

if TYPE_CHECKING:
    from collections.abc import Callable

# Control characters, lone surrogates, line ends, and the marks that turn the reading direction.
_STEERING = {"Cc", "Cs", "Zl", "Zp"}
_TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LAYOUT = {"\n", "\t"}


def printable(text: str) -> str:
    """The text, with a mark in place of what would steer a terminal."""
    return "".join(c if c in _LAYOUT or not _steers(c) else "\N{REPLACEMENT CHARACTER}" for c in text)


def _steers(character: str) -> bool:
    return character in _TURNING or unicodedata.category(character) in _STEERING


def plain_terminal() -> bool:
    """Whether the terminal, where there is one, says that it knows nothing but characters."""
    return os.environ.get("TERM", "").lower() in {"dumb", "unknown"}


def tell(text: str) -> None:
    """Prints a message on stderr. On a terminal, lines are broken between words, so that none is torn.

    Where stderr cannot be written, nobody is listening: what the command does goes on.
    """
    text = printable(text)
    try:
        click.echo(broken(text) if sys.stderr.isatty() else text, err=True)
    except OSError:
        give_up(sys.stderr)


def broken(text: str) -> str:
    """The text with its lines broken to the width of the terminal; what goes on is indented."""
    import shutil
    import textwrap

    breaks = textwrap.TextWrapper(shutil.get_terminal_size().columns, break_long_words=False, break_on_hyphens=False)
    lines = text.splitlines()
    for index, line in enumerate(lines):
        breaks.subsequent_indent = line[: len(line) - len(line.lstrip())] + "  "
        lines[index] = breaks.fill(line)
    return "\n".join(lines)


def output_option(*formats: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option `-o`, which chooses one of the formats for machines."""
    return click.option("--output", "-o", type=click.Choice(formats), help="Print this instead, for other programs.")


def write_data(data: object, output: str) -> None:
    """Prints plain data as JSON or YAML."""
    if output == "yaml":
        import yaml

        click.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=_speaks_unicode()), nl=False)
    else:
        import json

        click.echo(json.dumps(data, indent=2, ensure_ascii=not _speaks_unicode()))


def _speaks_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
