"""Refuse the mark that stands for a hidden secret: sent back, it would replace the secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.problems import Path, Problem, key_name
from paperspace.gradient._shared.secrets import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator

_HINT = (
    "(hidden) is not a value: it replaces a secret in output; `get_deployment_spec` and `gradient deployments get --spec` "
    "show the real value"
)


def hidden_problems(value: Any, path: Path = ("spec",)) -> Iterator[Problem]:
    """Yield the values in a spec that are the mark of a hidden secret, or have it in the place of credentials."""
    if isinstance(value, str):
        if value == HIDDEN or f"{HIDDEN}@" in value or (path[-1] == "url" and HIDDEN in value):
            yield Problem(path, HIDDEN, "the real value", _HINT)
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from hidden_problems(entry, (*path, key_name(key)))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from hidden_problems(entry, (*path, index))
