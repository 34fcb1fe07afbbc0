"""Rows that know the rows that the same query returned.

GraphQL resolves a list item by item, which would run one query per item for nested fields. A row that knows its
result set lets the first item load the nested rows of all items at once.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

T = TypeVar("T")


class Row(dict[str, Any]):
    """A row of the database. The keys are the column names in camel case, as in the schema."""

    __slots__ = ("result_set",)
    result_set: ResultSet


class ResultSet:
    """The rows of one query, and a cache of what was loaded for them."""

    def __init__(self, columns: Iterable[str], values: Iterable[Iterable[Any]]) -> None:
        names = [_camel_case(column) for column in columns]
        self.rows = [Row(zip(names, row, strict=True)) for row in values]
        self._cache: dict[Hashable, Any] = {}
        for row in self.rows:
            row.result_set = self

    def distinct(self, field: str) -> list[Any]:
        """Return the distinct values of a field, in the order of the rows."""
        return list(dict.fromkeys(row[field] for row in self.rows))

    def cached(self, key: Hashable, load: Callable[[ResultSet], T]) -> T:
        """Return the cached value of this key; load it first if it is missing."""
        if key not in self._cache:
            self._cache[key] = load(self)
        value: T = self._cache[key]
        return value

    def forget(self) -> None:
        """Forget the rows, so that their memory is free as soon as nobody uses them: rows and result set are a cycle."""
        self.rows = []
        self._cache.clear()


@cache
def _camel_case(column: str) -> str:
    first, *others = column.split("_")
    return first + "".join(map(str.capitalize, others))
