"""Files that hold secrets."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from paperspace.gradient._shared.whole_files import remove_drafts, replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# More than any file with settings or an API key.
MAX_BYTES = 1_000_000


def read_private(file: Path) -> bytes:
    """Read a file, which may be a device without an end.

    Raises:
        OSError: It cannot be read, or is larger than 1 MB.
    """
    with file.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(errno.EFBIG, "larger than 1 MB", str(file))
    return content


@contextmanager
def exclusive_change(file: Path) -> Iterator[None]:
    """Let no other process change a file during the block, which reads it, changes it, and writes it.

    Of two processes that do this at the same time, one would otherwise undo the change of the other. The lock is on the
    folder, so that no other file is left. Where there are no such locks (Windows, some network file systems), the block
    runs without one.
    """
    with ExitStack() as stack:
        with suppress(ImportError, OSError):
            import fcntl

            descriptor = os.open(file.parent, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            remove_drafts(file)  # they have secrets
        yield


def write_private(file: Path, content: str | bytes) -> None:
    """Write a file that only its owner can read, in one step: readers see the old content or the new.

    Raises:
        OSError: It cannot be written, or is larger than 1 MB: `read_private` would refuse it. The old content is unchanged.
    """
    data = content.encode() if isinstance(content, str) else content
    if len(data) > MAX_BYTES:
        raise OSError(errno.EFBIG, "it would be larger than 1 MB", str(file))
    replace_file(file, data, mode=0o600)
