"""The code blocks of a page, and what is the same when they are run again.

Behind the language of a block may stand `file=NAME`, for a file to be saved; `columns=N`, for a session on a terminal
of that width; or `no-run: REASON`. tools/docs/run.py runs them.
"""

from __future__ import annotations

import doctest
import re
from difflib import SequenceMatcher
from typing import NamedTuple

_FENCE = re.compile(
    r"^(?P<fence>`{3,})(?P<language>\S*)[ ]?(?P<info>[^\n]*)\n(?P<text>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL
)

# Behind this line a page is written by another script.
WRITTEN_BY_SCRIPT = "<!-- Everything below is written by "

# What differs from run to run, and what stands for it.
_VARYING = [
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "ID"),
    (re.compile(r"\binstance-[0-9a-f]{12}\b"), "instance-ID"),
    (re.compile(r"is pending: Simulated: [^.\n]*"), "is pending: Simulated: "),  # how far it is when it is looked at
    (re.compile(r"\b127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
    (re.compile(r"API_KEY=\S+"), "API_KEY=KEY"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)"), "TIME"),
    (re.compile(r"\b\d+\.\d+ ?s\b"), "SECONDS"),
    (re.compile(r"\b\d+s\b"), "AGE"),
    (re.compile(r"(?<=\S) +$", re.MULTILINE), ""),
    (re.compile(r"(?<=\S) {2,}"), "  "),  # the width of a column is that of what varies in it
]


class Block(NamedTuple):
    """A block of code, as a page has it."""

    language: str
    info: str
    text: str
    line: int
    start: int

    @property
    def file(self) -> str | None:
        """The file that it is to be saved as."""
        found = re.search(r"\bfile=(\S+)", self.info)
        return found and found[1]

    @property
    def columns(self) -> int | None:
        """The width of the terminal that it is shown on."""
        found = re.search(r"\bcolumns=(\d+)", self.info)
        return int(found[1]) if found else None

    @property
    def reason(self) -> str | None:
        """Why it is not run."""
        found = re.search(r"\bno-run: (.+)", self.info)
        return found and found[1]


def blocks_of(text: str) -> list[Block]:
    """The blocks of a page."""
    written = text.partition(WRITTEN_BY_SCRIPT)[0]
    return [
        Block(
            found["language"],
            found["info"],
            found["text"],
            written.count("\n", 0, found.start()) + 1,
            found.start("text"),
        )
        for found in _FENCE.finditer(written)
    ]


def comparable(text: str) -> str:
    """A text with what differs from run to run taken out, and tabs as blanks."""
    for pattern, stand_in in _VARYING:
        text = pattern.sub(stand_in, text)
    return text.expandtabs()


def right(shown: str, printed: str) -> str:
    """What a page has to show where this is printed: what it does show, as far as that comes to the same."""
    if doctest.OutputChecker().check_output(comparable(shown), comparable(printed), doctest.ELLIPSIS):
        return shown
    old, new = shown.splitlines(keepends=True), printed.splitlines(keepends=True)
    matcher = SequenceMatcher(
        None, [comparable(line) for line in old], [comparable(line) for line in new], autojunk=False
    )
    text = ""
    for tag, first, last, from_, to in matcher.get_opcodes():
        text += "".join(old[first:last] if tag == "equal" else new[from_:to])
    return text
