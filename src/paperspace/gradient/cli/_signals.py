"""Signals that stop a command which serves until then."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def notice_ended_children() -> None:
    """Let this process know how its children end, such as git. A parent that ignores SIGCHLD leaves that to its own children."""
    if hasattr(signal, "SIGCHLD"):  # not on Windows
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def on_signal(function: Callable[[], object]) -> None:
    """Call a function at the first signal. The second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def first() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        function()

    for number in _SIGNALS:
        with suppress(NotImplementedError):  # on Windows, where Ctrl-C ends asyncio.run
            loop.add_signal_handler(number, first)
