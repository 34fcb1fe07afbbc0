"""The log of `gradient server` on stderr. Logging never waits for the reader of stderr."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from contextlib import suppress
from queue import Full, Queue
from threading import Thread

MAX_WAITING_LINES = 1000

_EXIT_TIMEOUT = 0.5  # seconds to write the last lines before the process exits


class LogFormatter(logging.Formatter):
    """Log records as lines. Further lines of a record are indented; terminal control characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        text = super().format(record).replace("\n", "\n  ")
        return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


class BackgroundHandler(logging.Handler):
    """Write log records to a file descriptor in a thread of its own.

    If nobody reads, a limited number of records waits, and further ones are counted and dropped. The thread writes
    directly to the descriptor: a blocked write must not hold the lock of a stream that the exit of the process needs.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._waiting: Queue[str] = Queue(MAX_WAITING_LINES)
        self._dropped = 0
        Thread(target=self._write_all, name="gradient server log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on to the thread, or drop it."""
        try:
            text = self.format(record)
            if self._dropped:
                text = f"{self._dropped} log records were dropped: stderr was not read\n{text}"
            try:
                self._waiting.put_nowait(text)
            except Full:
                self._dropped += 1
            else:
                self._dropped = 0
        except Exception:  # noqa: BLE001 - as in every handler of the standard library
            self.handleError(record)

    def wait(self, timeout: float) -> None:
        """Wait until everything is written, up to a timeout."""
        with self._waiting.all_tasks_done:
            self._waiting.all_tasks_done.wait_for(lambda: not self._waiting.unfinished_tasks, timeout)

    def _write_all(self) -> None:
        while True:
            left = f"{self._waiting.get()}\n".encode(errors="backslashreplace")
            with suppress(OSError):  # nobody can read it any more
                while left:
                    left = left[os.write(self._descriptor, left) :]
            self._waiting.task_done()


def log_to_stderr() -> None:
    """Log to stderr from now on, in the whole process."""
    handler: logging.Handler
    try:
        handler = background = BackgroundHandler(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):  # stderr is closed, or replaced by an object without a descriptor
        handler = logging.StreamHandler()
    else:
        atexit.register(background.wait, _EXIT_TIMEOUT)
    handler.setFormatter(LogFormatter("%(asctime)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
