"""The revisions of the page, read from a history."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from paperspace.gradient.console.revisions import read_newer

pytestmark = pytest.mark.anyio


def revision(id_: str, *paths: str) -> Any:
    changes = [{"path": path, "before": 1, "after": 2} for path in paths]
    data = {"image": "nginx", "env": [{"name": "KEY", "value": "secret"}]}
    return {
        "id": id_,
        "dtCreated": "",
        "actor": None,
        "cluster": None,
        "data": data,
        "difference": {"changes": changes},
    }


async def history(*revisions: Any) -> AsyncGenerator[Any]:
    for one in revisions:
        yield one


async def test_what_a_revision_has_changed() -> None:
    """A few words: the paths, or that it was created or restarted."""
    revisions = [revision("4", "a", "b", "c", "d", "e"), revision("3", "a"), revision("2"), revision("1", "image")]
    shown = await read_newer(history(*revisions), [])
    assert [entry["summary"] for entry in shown] == ["changed a, b, c and 2 more", "changed a", "restarted", "created"]
    assert "secret" not in str(shown)


async def test_new_revisions_are_added() -> None:
    """The history is read up to the newest known revision, and closed. Numbers continue."""
    closed = []

    async def longer() -> AsyncGenerator[Any]:
        try:
            for number in "4321":
                yield revision(number, number)
        finally:
            closed.append(number)

    known = await read_newer(history(revision("2", "2"), revision("1", "1")), [])
    shown = await read_newer(longer(), known)
    assert [(entry["number"], entry["id"], entry["summary"]) for entry in shown] == [
        (4, "4", "changed 4"),
        (3, "3", "changed 3"),
        (2, "2", "changed 2"),
        (1, "1", "created"),
    ]
    assert closed == ["2"]
    assert await read_newer(history(revision("4", "4")), shown) == shown


async def test_a_history_without_the_known_revision() -> None:
    """It replaces what is known: the database is another one, such as a restored backup."""
    known = await read_newer(history(revision("2", "2"), revision("1", "1")), [])
    shown = await read_newer(history(revision("3", "3"), revision("1", "1")), known)
    assert [(entry["number"], entry["id"], entry["summary"]) for entry in shown] == [
        (2, "3", "changed 3"),
        (1, "1", "created"),
    ]
