"""How two specs differ in what they mean: pure functions over plain dicts.

A spec is spread out to one entry a place, `resources.replicas` or `env.NAME`, with the defaults filled in; what means
the same gives the same entries, whatever was null, left out or in another order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paperspace.gradient.types import SpecChange, SpecDifference

# What holds where a spec says nothing.
_DEFAULTS = {"port": 80, "enabled": True, "protocol": "http", "resources.replicas": 1}

HIDDEN = "(hidden)"


def difference(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> SpecDifference:
    """What changes from one spec to another. `before` is None where there was none: then, all that is said is new."""
    old, new = ({}, dict(_entries(after, ""))) if before is None else (spread(before), spread(after))
    places = [*old, *(place for place in new if place not in old)]
    changes = [_change(place, old, new) for place in places if old.get(place) != new.get(place)]
    return {"changes": changes, "text": "\n".join(_line(change) for change in changes)}


def spread(spec: Mapping[str, Any]) -> dict[str, Any]:
    """One entry for each place of a spec that says something, and for each default."""
    entries = {**_DEFAULTS, **dict(_entries(spec, ""))}
    scaling = "resources.autoscaling"
    if any(place.startswith(scaling) for place in entries):
        entries.setdefault(f"{scaling}.enabled", True)
        metrics = {place.rpartition(".")[0] for place in entries if place.startswith(f"{scaling}.metrics[")}
        for metric in metrics:
            entries.setdefault(f"{metric}.summary", "average")
    return {place: entries[place] for place in sorted(entries)}


def _entries(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if value is None or value == []:
        return
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _entries(entry, f"{place}.{key}" if place else key)
    elif isinstance(value, list) and isinstance(value[0], Mapping):
        for name, entry in _named(value, place):
            yield from _entries(entry, name)
    else:
        yield place, value


def _named(items: list[Any], place: str) -> Iterator[tuple[str, Any]]:
    """Items of a list by their names, where they have any, so that their order does not matter; else by number."""
    seen: set[str] = set()
    for index, item in enumerate(items):
        name = item.get("name")
        if name is None or name in seen:
            yield f"{place}[{index}]", item
            continue
        seen.add(name)
        rest = {key: entry for key, entry in item.items() if key != "name"}
        yield f"{place}.{name}", rest["value"] if set(rest) == {"value"} else rest


def _change(place: str, old: dict[str, Any], new: dict[str, Any]) -> SpecChange:
    before, after = old.get(place), new.get(place)
    if place.startswith("repositories."):
        field = place.rpartition(".")[2]
        before, after = shown(field, before), shown(field, after)
    return {"path": place, "before": before, "after": after}


def shown(field: str, value: object) -> object:
    """What may be shown of a field of a repository: no password, in its own field or in the URL."""
    if field == "password":
        return value and HIDDEN
    if field == "url" and isinstance(value, str):
        return re.sub(r"//[^/@]*@", f"//{HIDDEN}@", value)  # a token may stand in the place of the user
    return value


def _line(change: SpecChange) -> str:
    if change["before"] is None:
        return f"+ {change['path']}: {change['after']!r}"
    if change["after"] is None:
        return f"- {change['path']}: {change['before']!r}"
    return f"~ {change['path']}: {change['before']!r} -> {change['after']!r}"
