"""One call: its deadline, and the attempts of its requests."""

from __future__ import annotations

import time
from typing import Any

from paperspace.gradient._core.connections import running_loop
from paperspace.gradient._core.retry import FailureKind
from paperspace.gradient._shared.event_loops import monotonic

# A clock that goes on while the machine sleeps, unlike that of the event loop, and that nobody sets. Only Linux has it.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def seconds() -> float:
    """Return the time of the clock that goes on while the machine sleeps."""
    return monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


class Call:
    """One call of a function: its deadline, and the attempts of its latest request. A call may take several requests.

    Attributes:
        deadline: When it must end, by the clock of the event loop.
        attempts: The attempts of its latest request.
        response_lost: Whether the response to an attempt of its latest request, a change, was lost.
        last_failure: How the latest attempt failed. None: no attempt of the latest request has failed.
        server_date: The Date header of the latest response.
        variables: The variables of its latest request, whose secrets the server may repeat in an error.
    """

    def __init__(self, timeout: float) -> None:
        self._loop = running_loop()
        self._started = seconds()
        self.deadline = self._loop.time() + timeout
        self.attempts = 0
        self.response_lost = False
        self.last_failure: FailureKind | None = None
        self.server_date: str | None = None
        self.variables: dict[str, Any] = {}

    @property
    def rejected_after_lost_response(self) -> bool:
        """Whether the server rejected a retry of a change that it may have applied before."""
        return self.response_lost and self.last_failure in {FailureKind.FINAL, FailureKind.DOUBTFUL}

    @property
    def elapsed(self) -> float:
        """The seconds since the start, also those in which the machine slept."""
        return seconds() - self._started

    @property
    def remaining(self) -> float:
        """The seconds until the deadline."""
        return self.deadline - self._loop.time()
