"""Reading the output of a container across interruptions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paperspace.gradient.server.controller.engine import Piece
from paperspace.gradient.server.controller.log_reading import GAP, MAX_DELAY, MAX_LINE, Line, Progress, Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

SECOND = 10**9
START = 1_700_000_000 * SECOND

# The stream, how much time has passed, how late the engine stores the piece, and whether it ends its line.
events = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1]),
        st.sampled_from([0, 0, 0, 1, 500, SECOND, 30 * SECOND]),
        st.sampled_from([0, 0, 1, 500, MAX_DELAY - 1]),
        st.sampled_from([True, True, True, False]),
    ),
    max_size=60,
)


def output_of(entries: Sequence[tuple[int, int, int, bool]]) -> list[Piece]:
    """Return an output as an engine stores it: in each stream, times never go back; parts of a line have the same time."""
    pieces: list[Piece] = []
    now, last, is_open = START, [0, 0], [False, False]
    for number, (stream, passed, delay, ends) in enumerate(entries):
        now += passed
        if not is_open[stream]:
            last[stream] = max(last[stream], now - delay)
        is_open[stream] = not ends
        pieces.append(Piece(stream, last[stream], b"%d." % number, ends))
    return pieces


def lines_of(pieces: Sequence[Piece]) -> list[str]:
    """Return the lines of an output that is read at once."""
    lines, begun = [], [b"", b""]
    for stream, _, text, ends in pieces:
        begun[stream] += text
        if ends:
            lines.append(begun[stream].decode())
            begun[stream] = b""
    return lines + [text.decode() for text in begun if text]


class Store:
    """What is stored: lines, and the progress with which they were stored."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.progress = Progress().dump()

    def read(self, output: Sequence[Piece], chunk: int, lost: int) -> None:
        """Read an output in chunks; the last ones are read, but not stored, as after a SIGKILL."""
        reading = Reading(Progress.load(self.progress))
        pieces = [piece for piece in output if piece.at >= reading.since]
        chunks = [pieces[start : start + chunk] for start in range(0, len(pieces), chunk)]
        for index, part in enumerate(chunks):
            lines = reading.take(part)
            if index < len(chunks) - lost:
                self.lines += lines
                self.progress = reading.progress.dump()

    def finish(self, output: Sequence[Piece]) -> None:
        """Read an output to its end."""
        reading = Reading(Progress.load(self.progress))
        self.lines += reading.take([piece for piece in output if piece.at >= reading.since])
        self.lines += reading.end()
        self.progress = reading.progress.dump()

    def follow(self, output: Sequence[Piece], first: int, repeated: int) -> None:
        """Follow an output whose engine sends some pieces again; then read what it has."""
        followed = Reading(Progress.load(self.progress), follow=True)
        pieces = [piece for piece in output if piece.at >= followed.since]
        first %= len(pieces) + 1
        self.lines += followed.take([*pieces[: first + repeated], *pieces[first:]])
        reading = Reading(followed.progress, since=followed.repeated)
        self.lines += reading.take([piece for piece in output if piece.at >= reading.since])
        self.progress = reading.progress.dump()

    @property
    def texts(self) -> list[str]:
        return [line.text for line in self.lines]


interruptions = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 7), st.integers(0, 3)), max_size=6)


@given(events, interruptions)
def test_each_line_once(entries: list[tuple[int, int, int, bool]], cuts: list[tuple[int, int, int]]) -> None:
    """However often reading is cut or the server is killed, each line is stored once, in order: also with equal times."""
    output, store = output_of(entries), Store()
    for written, chunk, lost in sorted(cuts):
        store.read(output[:written], chunk, lost)
    store.finish(output)
    assert store.texts == lines_of(output)
    store.finish(output)  # as after a SIGKILL before the container was removed
    assert store.texts == lines_of(output)


@given(events, interruptions, st.integers(0, 60))
def test_a_gap_is_reported(
    entries: list[tuple[int, int, int, bool]], cuts: list[tuple[int, int, int]], removed: int
) -> None:
    """If the engine has removed the start of a log, no line comes twice, and lines are only missing where a line says so."""
    output, store = output_of([(stream, max(passed, 1), 0, True) for stream, passed, *_ in entries]), Store()
    for written, chunk, lost in sorted(cuts):
        store.read(output[:written], chunk, lost)
    some_stored = bool(store.lines)
    store.finish(output[removed:])
    texts = [text for text in store.texts if text != GAP]
    assert max(Counter(texts).values(), default=1) == 1
    assert texts == [text for text in lines_of(output) if text in set(texts)]
    if texts != lines_of(output) and some_stored and removed < len(output):
        assert GAP in store.texts


repetitions = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 9)), max_size=6)


@given(events, repetitions)
def test_pieces_that_are_sent_again(
    entries: list[tuple[int, int, int, bool]], times: list[tuple[int, int, int]]
) -> None:
    """Each line is stored once if the engine sends pieces again while its output is followed."""
    output, store = output_of([(stream, passed, 0, True) for stream, passed, *_ in entries]), Store()
    for written, first, repeated in sorted(times):
        store.follow(output[:written], first, repeated)
    store.finish(output)
    assert store.texts == lines_of(output)


@pytest.mark.parametrize("seconds", [1, 5, 3600])
def test_a_clock_that_is_set_back(seconds: int) -> None:
    """Each line is stored once if the clock is set back while output is followed, which looks as if pieces were sent again."""
    times = [START + number * SECOND for number in range(9)]
    times += [times[-1] - seconds * SECOND + number * 500 for number in range(1, 9)]
    output = [Piece(number % 2, at, b"%d" % number, True) for number, at in enumerate(times)]
    store = Store()
    store.follow(output[:-4], 0, 0)
    store.follow(output, 0, 0)
    assert store.texts == lines_of(output)


def test_gap() -> None:
    """A line says where lines may be missing; what is left is not read twice."""
    output = [Piece(0, START + number, b"%d" % number, True) for number in range(9)]
    store = Store()
    store.read(output[:3], 9, 0)
    store.finish(output[5:])
    assert store.texts == ["0", "1", "2", GAP, "5", "6", "7", "8"]


def test_no_gap_after_a_long_silence_of_one_stream() -> None:
    """A stream that has written nothing for long is not taken for one whose lines were removed."""
    output = [Piece(1, START, b"a", True), Piece(0, START + 60 * SECOND, b"b", True)]
    store = Store()
    store.read(output, 9, 0)
    output.append(Piece(1, START + 61 * SECOND, b"c", True))
    store.finish(output)
    assert store.texts == ["a", "b", "c"]
    assert Progress.load(store.progress).since >= START + 50 * SECOND


def test_a_line_that_takes_long() -> None:
    """A line whose parts are written long after its begin is complete, although all have the time of the first one."""
    output = [Piece(0, START, b"a", False), Piece(1, START + 60 * SECOND, b"c", True)]
    store = Store()
    store.read(output, 9, 0)
    output.append(Piece(0, START, b"b", True))
    store.finish(output)
    assert store.texts == ["c", "ab"]


@pytest.mark.parametrize("ends", [True, False])
def test_endless_line(ends: bool) -> None:
    """A line that never ends is cut, and so takes little memory; nothing of it is lost."""
    part = b"x" * 16384
    output = [Piece(0, START, part, False) for _ in range(50)] + [Piece(0, START, b"end", ends)]
    store = Store()
    for written in range(0, 50, 3):
        store.read(output[:written], 2, 0)
        assert len(store.progress) < 3 * MAX_LINE
    store.finish(output)
    assert "".join(store.texts) == "x" * 16384 * 50 + "end"
    assert max(len(text) for text in store.texts) <= MAX_LINE


def test_bytes_that_are_not_text() -> None:
    """Bytes that are not UTF-8 are replaced, also if a character is cut into two pieces; a carriage return is no text."""
    reading = Reading(Progress())
    euro = "€".encode()
    pieces = [
        Piece(0, START, euro[:1], False),
        Piece(0, START, euro[1:] + b"\r", True),
        Piece(1, START, b"\xff\0", True),
    ]
    assert [line.text for line in reading.take(pieces)] == ["€", "\ufffd\0"]
