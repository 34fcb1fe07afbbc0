"""Compare two specs by what they mean. Pure functions over plain dicts.

A spec is flattened to one entry for each field that is set, such as `resources.replicas` or `env.NAME`, with the defaults
filled in. Specs that mean the same give the same entries, whatever is null, omitted or in another order. Secrets are
compared, and hidden in the result.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.secrets import HIDDEN, hide_in, hide_in_repository
from paperspace.gradient._shared.spec_rules import (
    CHECK_DEFAULTS,
    DEFAULT_MAX_REPLICAS,
    DEFAULT_PORT,
    DEFAULT_PROTOCOL,
    DEFAULT_REPLICAS,
    DEFAULT_SUMMARY,
    HEALTH_CHECKS,
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

# The value of a header of a check. Its path ends with the name of the header.
_HEADER = re.compile(r"healthChecks\.\w+\.headers(\.|\[\d+\]\.value$)")


def difference(
    before: Mapping[str, Any] | None, after: Mapping[str, Any], *, show_secrets: bool = False
) -> SpecDifference:
    """List the changes from one spec to another.

    Args:
        before: The spec before. None: a new deployment, whose every field is new.
        after: The spec afterwards.
        show_secrets: Whether to show the values of environment variables and headers. Passwords and credentials stay hidden.
    """
    if before is None:
        old, new = {}, dict(_entries(after, ""))
    else:
        old, new = flatten(before), flatten(after)
    paths = [*old, *(path for path in new if path not in old)]
    changes = [_change(path, old, new, show_secrets) for path in paths if old.get(path) != new.get(path)]
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
    for check in HEALTH_CHECKS:
        prefix = f"healthChecks.{check}."
        if entries.get(f"{prefix}port") == entries["port"]:
            del entries[f"{prefix}port"]  # the default, which follows the port of the spec
        if any(path.startswith(prefix) for path in entries):
            for field, value in CHECK_DEFAULTS.items():
                entries.setdefault(f"{prefix}{field}", value)
    return {path: entries[path] for path in sorted(entries)}


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


def _change(path: str, old: dict[str, Any], new: dict[str, Any], show_secrets: bool) -> SpecChange:
    before, after = (_shown(path, entries.get(path), show_secrets) for entries in (old, new))
    return {"path": path, "before": before, "after": after}


def _shown(path: str, value: Any, show_secrets: bool) -> Any:
    """Return what may be shown of an entry."""
    field = path.rpartition(".")[2]
    if path.startswith("env.") or (path.startswith("env[") and field != "name") or _HEADER.match(path):
        return value if show_secrets or value is None else HIDDEN
    if path.startswith("repositories.repositories"):
        return hide_in_repository(field, value, show_secrets=show_secrets)
    return hide_in(value)


def _line(change: SpecChange) -> str:
    path, before, after = change["path"], change["before"], change["after"]
    if before is None:
        return f"+ {path}: {_text(after)}"
    if after is None:
        return f"- {path}: {_text(before)}"
    if before == after:  # the values differ in what is hidden
        return f"~ {path}: {_text(before)}, changed"
    return f"~ {path}: {_text(before)} -> {_text(after)}"


def _text(value: object) -> str:
    return HIDDEN if value == HIDDEN else repr(value)
