"""The budget of a request: how much work it may still cause.

The limits of a document bound its text. These bound what its execution reads, resolves and returns, in all fields and
pages together, and how long it takes.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from paperspace.gradient._shared.event_loops import monotonic


class Limits(NamedTuple):
    """The most that one request may take.

    `fields` are the resolved ones, in all items of all lists; `read_bytes` those of the rows that are read, and
    `result_bytes` those of the response.
    """

    seconds: float
    rows: int
    fields: int
    read_bytes: int
    result_bytes: int


# The largest page of the documented list, 100 deployments with 100 specs each, takes 10,000 rows and 120,000 fields. The
# client accepts responses of 32 MiB.
MAXIMUM = Limits(seconds=10, rows=50_000, fields=250_000, read_bytes=128 * 1024**2, result_bytes=32 * 1024**2)
# Most requests need less, such as a list of 100 deployments with their status: 1,100 rows, 4,300 fields.
LIGHT = Limits(seconds=0.5, rows=5_000, fields=10_000, read_bytes=8 * 1024**2, result_bytes=4 * 1024**2)
UNLIMITED = Limits(float("inf"), *[sys.maxsize] * 4)

# The time is looked at after each field, and each millisecond in SQLite. In a longer interval, the process did not run:
# it was stopped, for example, or the machine was suspended. That is not the work of the request.
_LONGEST_INTERVAL = 1.0  # seconds

_MESSAGES = {
    "seconds": "the request takes more than {:g} seconds",
    "rows": "the request reads more than {:,} rows",
    "fields": "the request resolves more than {:,} fields",
    "read_bytes": "the request reads more than {:,} bytes",
    "result_bytes": "the response has more than {:,} bytes",
}


class BudgetExceededError(BaseException):
    """The request needs more than its budget.

    Not an `Exception`: GraphQL would report it as the error of one field and continue.
    """


class InterruptedRequestError(BaseException):
    """Nobody waits for the request any more, or the server stops."""


class Budget:
    """What one request may still take."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._rows = limits.rows
        self._fields = limits.fields
        self._read_bytes = limits.read_bytes
        self._result_bytes = limits.result_bytes
        self._interrupted = False
        self.start()

    def start(self) -> None:
        """Start the time again: the request has waited until now."""
        self._looked = monotonic()
        self._deadline = self._looked + self._limits.seconds

    def interrupt(self) -> None:
        """End the request as soon as possible; any thread may call this."""
        self._interrupted = True

    @property
    def is_over(self) -> bool:
        """Whether the request must end now."""
        return self._interrupted or self._is_late()

    def check(self) -> None:
        """Check whether the request may continue.

        Raises:
            BudgetExceededError: it has taken too long.
            InterruptedRequestError: it was interrupted.
        """
        if self._interrupted:
            raise InterruptedRequestError
        if self._is_late():
            raise self._exceeded("seconds")

    def count_row(self, size: int) -> None:
        """Count a row that was read; `size` is the number of bytes in it."""
        self._rows -= 1
        self._read_bytes -= size
        if self._rows < 0:
            raise self._exceeded("rows")
        if self._read_bytes < 0:
            raise self._exceeded("read_bytes")

    def count_field(self, size: int) -> None:
        """Count a field that is resolved; `size` is the number of bytes of the response beside its value."""
        self._fields -= 1
        self._result_bytes -= size
        if self._fields < 0:
            raise self._exceeded("fields")
        self.check()

    def count_result(self, size: int) -> None:
        """Count bytes of the response."""
        self._result_bytes -= size
        if self._result_bytes < 0:
            raise self._exceeded("result_bytes")

    def _is_late(self) -> bool:
        """Look at the clock; return whether the time is over."""
        now = monotonic()
        if (interval := now - self._looked) > _LONGEST_INTERVAL:
            self._deadline += interval
        self._looked = now
        return now > self._deadline

    def _exceeded(self, limit: str) -> BudgetExceededError:
        message = _MESSAGES[limit].format(getattr(self._limits, limit))
        return BudgetExceededError(f"{message}; ask for smaller pages or fewer fields")
