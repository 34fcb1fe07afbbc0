"""Rows that know the rows they were fetched with.

GraphQL resolves a list item by item, so what is nested in the items would be looked up once for each of them.
A row that knows its batch can have it looked up for all of them at once, on behalf of the first that asks.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

T = TypeVar("T")


class Row(dict[str, Any]):
    """A row of the database, by the names that the schema has for its columns."""

    __slots__ = ("batch",)
    batch: Batch


class Batch:
    """Rows that were fetched together, and all that was loaded for them since."""

    def __init__(self, columns: Iterable[str], values: Iterable[Iterable[Any]]) -> None:
        names = [_schema_name(column) for column in columns]
        self.rows = [Row(zip(names, row, strict=True)) for row in values]
        self._loaded: dict[Hashable, Any] = {}
        for row in self.rows:
            row.batch = self

    def each(self, field: str) -> list[Any]:
        """The different values of a field, in a stable order."""
        return list(dict.fromkeys(row[field] for row in self.rows))

    def once(self, key: Hashable, load: Callable[[Batch], T]) -> T:
        """What `load` made of this batch the first time that it was asked for under this key."""
        if key not in self._loaded:
            self._loaded[key] = load(self)
        found: T = self._loaded[key]
        return found


@cache
def _schema_name(column: str) -> str:
    first, *others = column.split("_")
    return first + "".join(map(str.capitalize, others))
