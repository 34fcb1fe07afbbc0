"""Outages of the server during a command: messages on standard error, from the log of the library."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from paperspace.gradient.cli._output import print_message

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger("paperspace.gradient.outages")


class _Messages(logging.Handler):
    """Prints one message when an outage begins, and one when it ends, however many waits it interrupts."""

    last: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg != self.last:
            self.last = record.msg
            print_message(record.getMessage())


@contextmanager
def outages_reported() -> Iterator[None]:
    """Print the outages that the library waits through during the block."""
    messages = _Messages()
    _log.setLevel(logging.INFO)
    _log.addHandler(messages)
    try:
        yield
    finally:
        _log.removeHandler(messages)
