"""Files of Git LFS: a commit has only pointers to them. An archive of the commit gets the files in their place."""

from __future__ import annotations

import io
import re
import tarfile
from threading import Event
from typing import TYPE_CHECKING, Literal, NamedTuple

from paperspace.gradient._shared.daemon_threads import in_daemon_thread
from paperspace.gradient.server.docker.clone_errors import clone_error, permanent
from paperspace.gradient.server.docker.git import GitError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paperspace.gradient.server.docker.git import Repository
    from paperspace.gradient.server.docker.remotes import Remote

# git may have converted the ends of lines: for git-lfs, that is a pointer too.
_POINTER = re.compile(
    r"version https://git-lfs\.github\.com/spec/v1\r?\noid sha256:([0-9a-f]{64})\r?\nsize ([0-9]{1,15})\s*"
)
_MAX_POINTER = 200  # bytes


class WrongPointerError(Exception):
    """A file is missing, or has another size than its pointer says; the text is its path in the archive."""


class StoppedError(Exception):
    """Nobody waits for the archive any more."""


class _Pointer(NamedTuple):
    """What a commit has in place of a file."""

    object_id: str
    size: int
    """Bytes of the file."""


async def add_large_files(repository: Repository, remote: Remote, commit: str, archive: Path) -> Path:
    """Return an archive that has the files in place of the pointers. If there are no pointers, it is the same archive.

    Args:
        repository: A repository that has the commit.
        remote: Where the files are.
        commit: The commit.
        archive: An archive of the commit.

    Raises:
        CloneError: the files cannot be downloaded.
        TooLargeError: they are too large.
    """
    size = await in_daemon_thread(filled_size, archive)
    if size is None:
        return archive
    if size > repository.limit:
        raise TooLargeError
    try:
        await repository.run("lfs", "fetch", "origin", commit)
    except GitError as error:
        raise clone_error(remote, str(error), commit) from error
    filled = archive.with_suffix(".filled")
    stop = Event()
    try:
        await in_daemon_thread(fill, archive, repository.folder / "lfs/objects", filled, stop)
    except WrongPointerError as error:
        name = str(error).removeprefix(f"{remote.path[1:]}/")
        raise permanent(
            remote, f"its file {name!r} of Git LFS is missing, or has another size than its pointer says."
        ) from error
    finally:
        stop.set()  # a thread cannot be cancelled
    return filled


def filled_size(archive: Path) -> int | None:
    """Return the bytes of an archive with the files in place of the pointers. None: it has no pointers."""
    with _opened(archive) as tar:
        sizes = [pointer.size for entry in _entries(tar) if (pointer := _pointer(tar, entry))]
    return archive.stat().st_size + sum(sizes) if sizes else None


def fill(archive: Path, objects: Path, filled: Path, stop: Event) -> None:
    """Write an archive with the files in place of the pointers.

    Args:
        archive: An archive of a commit.
        objects: The folder of the files, which Git LFS has downloaded.
        filled: The new archive.
        stop: Set it to end this early: files may have many gigabytes.

    Raises:
        WrongPointerError: a file is missing, or has another size than its pointer says.
        StoppedError: `stop` was set.
        OSError: the archive cannot be written.
    """
    with _opened(archive) as tar, _opened(filled, "w") as new:
        for entry in _entries(tar):
            if pointer := _pointer(tar, entry):
                name = pointer.object_id
                file = objects / name[:2] / name[2:4] / name
                if not file.is_file() or file.stat().st_size != pointer.size:
                    raise WrongPointerError(entry.name)
                entry.size = pointer.size
                with _Content(file, stop) as content:
                    new.addfile(entry, content)
            else:
                new.addfile(entry, tar.extractfile(entry) if entry.isreg() else None)
            _forget_entries(new)


class _Content(io.FileIO):
    """A file that can be read until an event is set."""

    def __init__(self, file: Path, stop: Event) -> None:
        super().__init__(file)
        self._stop = stop

    def read(self, size: int | None = -1, /) -> bytes:
        if self._stop.is_set():
            raise StoppedError
        return super().read(size)


def _opened(archive: Path, mode: Literal["r", "w"] = "r") -> tarfile.TarFile:
    """Open an archive. The names in it may be any bytes."""
    return tarfile.open(archive, mode, format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape")


def _entries(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while entry := tar.next():
        _forget_entries(tar)
        yield entry


def _forget_entries(tar: tarfile.TarFile) -> None:
    """Remove the entries from the memory: tarfile keeps all of them, and there may be millions."""
    tar.members.clear()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def _pointer(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> _Pointer | None:
    """Return the pointer that an entry is. None: it is another file."""
    content = tar.extractfile(entry) if entry.isreg() and entry.size <= _MAX_POINTER else None
    match = _POINTER.fullmatch(content.read().decode("ascii", "replace")) if content else None
    return _Pointer(match[1], int(match[2])) if match else None
