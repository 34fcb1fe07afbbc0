"""The three standard streams, where one is missing, or is of no use any more."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

_MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}  # in the order of their file descriptors


def complete() -> None:
    """Puts the null device in the place of each stream that was closed before this process began.

    It gets the stream's own descriptor too, or else the next socket or database file would, and be written to.
    """
    for number, (name, mode) in enumerate(_MODES.items()):
        if getattr(sys, name) is None:
            _lead_nowhere(number)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  # it stays open


def give_up(stream: TextIO) -> None:
    """Lets a stream lead nowhere from now on: the interpreter's last flush would fail, and the exit code with it."""
    with suppress(OSError, ValueError, AttributeError):
        _lead_nowhere(stream.fileno())


def _lead_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
