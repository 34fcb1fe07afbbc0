"""What is polled until Ctrl-C. A short outage of the server does not end it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TypeVar

from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.cli._output import is_plain_terminal, print_message, printable, terminal_console, wrap
from paperspace.gradient.errors import APIError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paperspace.gradient.deployments import _outages
else:
    [_outages] = lazy_modules("paperspace.gradient.deployments", "_outages")

T = TypeVar("T")

INTERVAL = 2.0  # seconds between two polls


def can_redraw() -> bool:
    """Return whether standard output is a terminal on which a table can be updated in its place."""
    return sys.stdout.isatty() and not is_plain_terminal()


def polls(latest: Callable[[], T]) -> Iterator[T]:
    """Yield the latest state again and again. An outage is a message, unless it is there from the start."""
    yield latest()
    is_reported, pause = False, INTERVAL
    while True:
        time.sleep(pause)
        try:
            state = latest()
        except APIError as error:
            problem, pause = _outage(error)
            if not is_reported:
                print_message(problem)
            is_reported = True
        else:
            is_reported, pause = False, INTERVAL
            yield state


def redraw(latest: Callable[[], tuple[list[str], str]]) -> None:
    """Show the latest table in the place of the one before.

    Args:
        latest: Returns the lines of the table, the first one with the titles, and a note to show below it.
    """
    from rich.live import Live
    from rich.text import Text

    lines, note = latest()
    console = terminal_console()
    with Live(console=console, auto_refresh=False, transient=False) as live:
        problem, pause = "", INTERVAL
        while True:
            (title, *others), footer = _fit(lines, problem or note, console.height)
            rows = (Text.from_ansi(f"\n{line}") for line in others)
            live.update(Text.assemble((title, "bold"), *rows, f"\n{footer}", no_wrap=True), refresh=True)
            time.sleep(pause)
            try:
                lines, note = latest()
                problem, pause = "", INTERVAL
            except APIError as error:
                message, pause = _outage(error)
                problem = printable(message).replace("\n", " ")


def _fit(lines: list[str], message: str, height: int) -> tuple[list[str], str]:
    """Return the lines that fit a terminal, and the text below them: how many rows are hidden, if any, and the message."""

    def below(hidden: int) -> str:
        rows = f"Hidden rows: {hidden}. Use a taller terminal, or `| cat`, to see them." if hidden else ""
        return wrap("\n".join(filter(None, (rows, message)))) or " "

    room = height - len(below(0).splitlines())
    if len(lines) <= room:
        return lines, below(0)
    room = max(height - len(below(len(lines)).splitlines()), 1)
    return lines[:room], below(len(lines) - room)


def _outage(error: APIError) -> tuple[str, float]:
    """Return the message of an outage, and the seconds until the next poll. Raise an error that no outage explains."""
    if not _outages.is_transient(error):
        raise error
    return f"The server does not respond: {error.args[0]}", max(INTERVAL, error.retry_after or 0.0)
