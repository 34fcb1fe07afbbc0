"""Files that hold secrets."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


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
