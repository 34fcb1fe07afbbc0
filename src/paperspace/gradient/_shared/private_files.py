"""Files that hold secrets."""

from __future__ import annotations

import errno
import os
import tempfile
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


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, in one step: readers see the old content or the new.

    Raises:
        OSError: It cannot be written. The old content is unchanged.
    """
    # Written to a temporary file, which mkstemp creates with mode 0600, and renamed.
    try:
        handle, draft = tempfile.mkstemp(dir=file.parent, prefix=file.name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            Path(draft).replace(file)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from error  # the user knows nothing of the draft
