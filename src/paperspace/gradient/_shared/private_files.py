"""Files that hold secrets."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        yield


def write_private(file: Path, content: str | bytes) -> None:
    """Write a file that only its owner can read, in one step: readers see the old content or the new.

    Raises:
        OSError: It cannot be written, or is larger than 1 MB: `read_private` would refuse it. The old content is unchanged.
    """
    data = content.encode() if isinstance(content, str) else content
    if len(data) > MAX_BYTES:
        raise OSError(errno.EFBIG, "it would be larger than 1 MB", str(file))
    # Written to a temporary file, which mkstemp creates with mode 0600, and renamed.
    try:
        handle, draft = tempfile.mkstemp(dir=file.parent, prefix=file.name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(handle)  # otherwise, after a power failure, the file may have its name but no content
            Path(draft).replace(file)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from error  # the user knows nothing of the draft
