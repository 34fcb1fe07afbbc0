"""The faults that a test injects into the next API requests, and a record of these requests."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from paperspace.gradient._shared.received_requests import PendingFault, ReceivedRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paperspace.gradient.server.http.middleware import Fault


class InjectedFaults:
    """The pending faults, in the order of their injection, and the received requests.

    Args:
        record: Whether to record the requests. The record grows for as long as the server runs.
    """

    def __init__(self, *, record: bool = False) -> None:
        self._record = record
        self._pending: list[tuple[Fault, str | None]] = []
        self._received: list[ReceivedRequest] = []
        self._lock = threading.Lock()  # tests call this in another thread

    @property
    def needs_operations(self) -> bool:
        """Whether the operation of a request has to be known before the request is handled."""
        return self._record or any(operation for _, operation in self._pending)

    @property
    def pending(self) -> list[PendingFault]:
        """The faults that no request has received yet."""
        with self._lock:
            return [PendingFault(_name(fault), operation) for fault, operation in self._pending]

    @property
    def received(self) -> list[ReceivedRequest]:
        """The recorded requests, in the order in which they were received."""
        with self._lock:
            return list(self._received)

    def inject(self, faults: Iterable[Fault], operation: str | None = None) -> None:
        """Add faults for the next requests, or for the next ones of an operation."""
        with self._lock:
            self._pending += [(fault, operation) for fault in faults]

    def receive(self, operation: str | None) -> tuple[int, Fault | None]:
        """Record a request, and remove its fault from the pending ones.

        Returns:
            The number of the request, for `respond`, and its fault. -1: it is not recorded.
        """
        with self._lock:
            entry = next((entry for entry in self._pending if entry[1] in (None, operation)), None)
            if entry:
                self._pending.remove(entry)
            fault = entry and entry[0]
            if self._record:
                self._received.append(ReceivedRequest(operation, fault=fault and _name(fault)))
            return len(self._received) - 1, fault

    def respond(self, number: int, status: int) -> None:
        """Record the status of the response to a request."""
        with self._lock:
            if number >= 0:
                self._received[number] = self._received[number]._replace(status=status)


def _name(fault: Fault) -> str:
    return getattr(fault, "__name__", type(fault).__name__)
