"""The files of the page. They are few and small, so they are read once, and a request can name only one of them."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

INDEX = "index.html"

_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


class File(NamedTuple):
    """A file, as it is sent."""

    body: bytes
    content_type: str
    etag: str


@cache
def static_files() -> dict[str, File]:
    """Return the files by name, such as `app.js`."""
    return dict(_read(files("paperspace.gradient.console") / "static"))


def _read(folder: Traversable, prefix: str = "") -> list[tuple[str, File]]:
    found: list[tuple[str, File]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _read(entry, f"{prefix}{entry.name}/")
        elif content_type := _TYPES.get(entry.name.rpartition(".")[2]):
            body = entry.read_bytes()
            found.append((prefix + entry.name, File(body, content_type, hashlib.sha256(body).hexdigest()[:16])))
    return found
