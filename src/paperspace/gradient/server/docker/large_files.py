"""Files of Git LFS: a commit has only pointers to them. An archive of the commit gets the files in their place."""

from __future__ import annotations

import re
import tarfile
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_POINTER = re.compile(r"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize ([0-9]{1,15})\n")
_MAX_POINTER = 200  # bytes


class _Pointer(NamedTuple):
    """What a commit has in place of a file."""

    object_id: str
    size: int
    """Bytes of the file."""


def filled_size(archive: Path) -> int | None:
    """Return the bytes of an archive with the files in place of the pointers. None: it has no pointers."""
    with _opened(archive) as tar:
        sizes = [pointer.size for entry in tar if (pointer := _pointer(tar, entry))]
    return archive.stat().st_size + sum(sizes) if sizes else None


def fill(archive: Path, objects: Path, filled: Path) -> None:
    """Write an archive with the files in place of the pointers.

    Args:
        archive: An archive of a commit.
        objects: The folder of the files, which Git LFS has downloaded.
        filled: The new archive.

    Raises:
        OSError: a file is not there, or the archive cannot be written.
    """
    with _opened(archive) as tar, _opened(filled, "w") as new:
        for entry in tar:
            if pointer := _pointer(tar, entry):
                name = pointer.object_id
                file = objects / name[:2] / name[2:4] / name
                entry.size = file.stat().st_size
                with file.open("rb") as content:
                    new.addfile(entry, content)
            else:
                new.addfile(entry, tar.extractfile(entry) if entry.isreg() else None)


def _opened(archive: Path, mode: Literal["r", "w"] = "r") -> tarfile.TarFile:
    """Open an archive. The names in it may be any bytes."""
    return tarfile.open(archive, mode, format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape")


def _pointer(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> _Pointer | None:
    """Return the pointer that an entry is. None: it is another file."""
    content = tar.extractfile(entry) if entry.isreg() and entry.size <= _MAX_POINTER else None
    match = _POINTER.fullmatch(content.read().decode("ascii", "replace")) if content else None
    return _Pointer(match[1], int(match[2])) if match else None
