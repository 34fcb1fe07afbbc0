"""The spec of the documentation, with every field, in real containers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

PAGE = Path("docs/spec.md")


def documented_spec() -> dict[str, Any]:
    """Return the first spec of the page."""
    [text, *_] = re.findall(r"^```yaml file=paperspace.yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    spec: dict[str, Any] = yaml.safe_load(text)
    return spec


def fields_of(spec: Mapping[str, Any]) -> set[str]:
    """Return the paths of all values in a spec, without the indexes of lists."""
    found = set()

    def visit(value: Any, path: str) -> None:
        if isinstance(value, Mapping):
            for key, entry in value.items():
                visit(entry, f"{path}.{key}" if path else key)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for entry in value:
                visit(entry, f"{path}[]")
        else:
            found.add(path)

    visit(spec, "")
    return found
