"""Ids in the order of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from paperspace.gradient.server import ids

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def test_new_ids_sort_by_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later id sorts after an earlier one, and ids of the same millisecond differ."""
    times = [1_700_000_000_000 + step for step in range(50)]
    new = []
    for time in times:
        monkeypatch.setattr(ids, "time_ns", lambda time=time: time * 10**6)
        new.append(sorted(str(ids.ordered_id()) for _ in range(20)))
    in_order = [id_ for of_a_time in new for id_ in of_a_time]
    assert in_order == sorted(set(in_order))


def test_ids_are_valid_uuids() -> None:
    """The version and the variant are those of RFC 9562: version 7 for new ids, version 8 for derived ones."""
    new = ids.ordered_id()
    derived = UUID(ids.derived_id(str(new), "run"))
    assert (new.version, derived.version, new.variant, derived.variant) == (7, 8, *[UUID(int=1 << 63).variant] * 2)


def test_a_derived_id_is_always_the_same() -> None:
    """The parent and the name select the id; it sorts next to its parent."""
    parent, other = str(ids.ordered_id()), str(ids.ordered_id())
    assert ids.derived_id(parent, "run") == ids.derived_id(parent, "run")
    assert len({ids.derived_id(id_, name) for id_ in (parent, other) for name in ("run", "rollout")}) == 4
    assert ids.derived_id(parent, "run")[:13] == parent[:13]


def test_a_derived_id_sorts_by_the_time_that_it_gets() -> None:
    """The states of an instance sort by their times, whatever the id of the instance is."""
    instance = "ffffffff-ffff-4fff-bfff-ffffffffffff"
    states = [ids.derived_id(instance, "next state", NOW + timedelta(milliseconds=step)) for step in range(50)]
    assert states == sorted(set(states))
