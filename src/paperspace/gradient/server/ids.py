"""Ids in the order of time: those of one transaction are neighbors in an index, however large the database is.

Random ids cost a page of the database for each row. The first 48 bits of these are a time in milliseconds, as in version 7
of RFC 9562; the others are random or a hash, so that ids stay unique and hard to guess.
"""

from __future__ import annotations

from secrets import randbits
from time import time_ns
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

if TYPE_CHECKING:
    from datetime import datetime

_TIME_BITS, _OTHER_BITS = 48, 80
_RANDOM, _HASH = 7, 8  # versions: random after the time, and a layout of one's own


def ordered_id() -> UUID:
    """Return a new id; it sorts after those of earlier times."""
    return _assemble(time_ns() // 10**6, randbits(_OTHER_BITS), _RANDOM)


def derived_id(parent: str, name: str, at: datetime | None = None) -> str:
    """Return the id that always belongs to a parent's id and a name.

    Args:
        parent: The id of the parent.
        name: What it is of the parent.
        at: The time to sort by. None: that of the parent.
    """
    parent_id = UUID(parent)
    time = parent_id.int >> _OTHER_BITS if at is None else int(at.timestamp() * 1000)
    return str(_assemble(time, uuid5(parent_id, name).int, _HASH))


def _assemble(time: int, other: int, version: int) -> UUID:
    value = time % 2**_TIME_BITS << _OTHER_BITS | other % 2**_OTHER_BITS
    value = value & ~(0xF << 76) | version << 76
    return UUID(int=value & ~(0b11 << 62) | 0b10 << 62)
