"""Read the output of a container across interruptions: each line once, and none left out. Pure.

The engine can only be asked for the output since a time. Times do not identify a line: pieces of a long line share one,
and so can other lines. The pieces of one stream are in the order of their times; those of two streams may be swapped.

So after an interruption, the output is read from a time that no further piece can be before. The last stored piece is
recognized by its stream, its time and its number among the pieces with both. All pieces before it are stored, and all
after it are new.

While output is followed, the engine can send pieces again: Docker before version 23 does so whenever it begins a new
file. A piece that may be such a repetition ends the reading. The next one is not followed, so that nothing is repeated.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from paperspace.gradient.server.controller.engine import Piece

MAX_LINE = 32 * 1024
"""Bytes of a line. A longer one is cut, also one that never ends."""

# Nanoseconds. The engine takes the time of a piece before it stores it, so that one of the other stream may come first. It
# takes longer only if the engine or the disk stands still.
MAX_DELAY = 10 * 10**9

GAP = "[server] Lines may be missing here: the engine removed them before they were read."


class Line(NamedTuple):
    """A line of a log."""

    at: int
    """When it was written: nanoseconds since 1970."""
    text: str


class Mark(NamedTuple):
    """The last stored piece of a stream."""

    at: int = 0
    number: int = 0
    """Its number among the pieces of the stream with this time; the first is 1. 0: no piece is stored."""


class Progress(NamedTuple):
    """How much of the output of a container is stored."""

    marks: tuple[Mark, Mark] = (Mark(), Mark())
    """Of each stream."""
    last: int = 0
    """The stream of the last stored piece."""
    newest: int = 0
    """The latest time of a stored piece."""
    begun: tuple[bytes, bytes] = (b"", b"")
    """For each stream, the start of its unfinished line."""

    @property
    def since(self) -> int:
        """The time from which to read on: that of the last stored piece, or an earlier one. 0: from the start."""
        bounds = [self.marks[self.last].at]
        for mark, begun in zip(self.marks, self.begun, strict=True):
            bounds.append(mark.at if begun else max(mark.at, self.newest - MAX_DELAY))
        return max(min(bounds), 0)

    def dump(self) -> str:
        """Return the text to store."""
        begun = [text.decode("latin-1") for text in self.begun]  # any bytes
        return json.dumps([self.marks, self.last, self.newest, begun])

    @classmethod
    def load(cls, text: str) -> Progress:
        """Return what was stored."""
        (first, second), last, newest, begun = json.loads(text)
        one, other = (text.encode("latin-1") for text in begun)
        return cls((Mark(*first), Mark(*second)), last, newest, (one, other))


class Reading:
    """One reading of the output of a container.

    Args:
        progress: What is stored.
        follow: Whether the output is followed.
        since: The time to read from, if it is earlier than `progress.since`.

    Attributes:
        progress: What is stored, when the lines returned so far are.
        since: The time to read from.
        follow: Whether the output is followed.
        repeated: The time of a piece that may be a repetition. It ends the reading. None: there was no such piece.
    """

    def __init__(self, progress: Progress, *, follow: bool = False, since: int | None = None) -> None:
        self.progress = progress
        self.since = progress.since if since is None else min(since, progress.since)
        self.repeated: int | None = None
        self.follow = follow
        target = progress.marks[progress.last]
        self._last_stored = (progress.last, target.at)
        self._stored_left = target.number  # pieces like the last stored one, up to that one

    def take(self, pieces: Sequence[Piece]) -> list[Line]:
        """Return the new lines that end in these pieces, up to one that may be a repetition."""
        lines: list[Line] = []
        new = self._skip_stored(pieces, lines) if self._stored_left else pieces
        if new:
            self._add(new, lines)
        return lines

    def end(self) -> list[Line]:
        """Return the lines that have no end. There is no more output."""
        marks, begun = self.progress.marks, self.progress.begun
        self.progress = self.progress._replace(begun=(b"", b""))
        return [_line(mark.at, text) for mark, text in zip(marks, begun, strict=True) if text]

    def _skip_stored(self, pieces: Sequence[Piece], lines: list[Line]) -> Sequence[Piece]:
        """Return the pieces after the last stored one."""
        for index, piece in enumerate(pieces):
            if (piece.stream, piece.at) == self._last_stored:
                self._stored_left -= 1
                if not self._stored_left:
                    return pieces[index + 1 :]
            elif piece.at > self.progress.newest:
                # The last stored one is gone: the engine keeps only the end of a long log.
                self._stored_left = 0
                lines += [*self.end(), Line(piece.at, GAP)]
                return pieces[index:]
        return ()

    def _add(self, pieces: Iterable[Piece], lines: list[Line]) -> None:
        marks, begun = list(self.progress.marks), list(self.progress.begun)
        last, newest = self.progress.last, self.progress.newest
        for stream, at, text, ends in pieces:
            mark = marks[stream]
            if self.follow and at < mark.at + (not begun[stream]):  # a line that follows another one has a later time
                self.repeated = at
                break
            last, line = stream, begun[stream] + text  # the last one is stored
            if begun[last] and len(line) > MAX_LINE:
                lines.append(_line(at, begun[last]))
                line = text
            if ends:
                lines.append(_line(at, line))
                line = b""
            begun[last], marks[last] = line, Mark(at, mark.number + 1 if at == mark.at else 1)
            newest = max(newest, at)
        self.progress = Progress((marks[0], marks[1]), last, newest, (begun[0], begun[1]))


def _line(at: int, text: bytes) -> Line:
    return Line(at, text.removesuffix(b"\r").decode(errors="replace"))
