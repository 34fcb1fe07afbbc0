"""Compare two specs by what they mean. Pure functions over plain dicts.

A spec is flattened to one entry for each field that is set, such as `resources.replicas` or `env.NAME`, with the defaults
filled in. Specs that mean the same give the same entries, whatever is null, omitted or in another order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.spec_rules import (
    DEFAULT_MAX_REPLICAS,
    DEFAULT_PORT,
    DEFAULT_PROTOCOL,
    DEFAULT_REPLICAS,
    DEFAULT_SUMMARY,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paperspace.gradient.types import SpecChange, SpecDifference

_DEFAULTS = {
    "port": DEFAULT_PORT,
    "enabled": True,
    "protocol": DEFAULT_PROTOCOL,
    "resources.replicas": DEFAULT_REPLICAS,
}

HIDDEN = "(hidden)"


def difference(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> SpecDifference:
    """List the changes from one spec to another. `before` is None for a new deployment: every field is new."""
    if before is None:
        old, new = {}, dict(_entries(after, ""))
    else:
        old, new = flatten(before), flatten(after)
    paths = [*old, *(path for path in new if path not in old)]
    changes = [_change(path, old, new) for path in paths if old.get(path) != new.get(path)]
    return {"changes": changes, "text": "\n".join(_line(change) for change in changes)}


def flatten(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return one entry for each field that is set, and for each default, sorted by path."""
    entries = {**_DEFAULTS, **dict(_entries(spec, ""))}
    autoscaling = "resources.autoscaling"
    if any(path.startswith(autoscaling) for path in entries):
        if not entries.setdefault(f"{autoscaling}.enabled", True):
            entries.setdefault(f"{autoscaling}.maxReplicas", DEFAULT_MAX_REPLICAS)
        metrics = {path.rpartition(".")[0] for path in entries if path.startswith(f"{autoscaling}.metrics[")}
        for metric in metrics:
            entries.setdefault(f"{metric}.summary", DEFAULT_SUMMARY)
    return {path: entries[path] for path in sorted(entries)}


def hide_secrets(field: str, value: object) -> object:
    """Return what may be shown of a field of a repository: no password, neither as a field nor in the URL."""
    if field == "password":
        return value and HIDDEN
    if field == "url" and isinstance(value, str):
        return re.sub(r"//[^/@]*@", f"//{HIDDEN}@", value)  # a token may stand where the user name does
    return value


def _entries(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if value is None or value == []:
        return
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _entries(entry, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and isinstance(value[0], Mapping):
        for item_path, item in _items(value, path):
            yield from _entries(item, item_path)
    else:
        yield path, value


def _items(items: list[Any], path: str) -> Iterator[tuple[str, Any]]:
    """Yield the items of a list by name, so that their order does not matter; those without a name by number."""
    names: set[str] = set()
    for index, item in enumerate(items):
        name = item.get("name")
        if name is None or name in names:
            yield f"{path}[{index}]", item
            continue
        names.add(name)
        rest = {key: entry for key, entry in item.items() if key != "name"}
        yield f"{path}.{name}", rest["value"] if set(rest) == {"value"} else rest


def _change(path: str, old: dict[str, Any], new: dict[str, Any]) -> SpecChange:
    before, after = old.get(path), new.get(path)
    if path.startswith("repositories."):
        field = path.rpartition(".")[2]
        before, after = hide_secrets(field, before), hide_secrets(field, after)
    return {"path": path, "before": before, "after": after}


def _line(change: SpecChange) -> str:
    if change["before"] is None:
        return f"+ {change['path']}: {change['after']!r}"
    if change["after"] is None:
        return f"- {change['path']}: {change['before']!r}"
    return f"~ {change['path']}: {change['before']!r} -> {change['after']!r}"
