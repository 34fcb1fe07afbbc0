"""Notes of an interrupted call: what it has done already, for the KeyboardInterrupt that Ctrl-C raises in a sync call.

The interrupt is raised in the thread of the caller, and the coroutine of the call runs in another thread. The notes are in the
context of the call, which both threads have.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_notes: ContextVar[list[str] | None] = ContextVar("notes of an interrupted call", default=None)


@contextmanager
def noted_interrupts() -> Iterator[None]:
    """Run a call. If it is interrupted, add its notes to the interrupt."""
    notes: list[str] = []
    token = _notes.set(notes)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        for note in notes:
            interrupt.add_note(note)
        raise
    finally:
        _notes.reset(token)


def note_for_interrupt(text: str) -> None:
    """Add a note to the call that is running. In an async call, which gets no KeyboardInterrupt, it has no effect."""
    notes = _notes.get()
    if notes is not None:
        notes.append(text)
