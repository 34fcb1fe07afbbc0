"""Files that hold secrets."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_private(file: Path, text: str) -> None:
    """Writes a file that its owner alone can read and change; there is never half of it.

    Raises:
        OSError: It cannot be written; what was there is there still.
    """
    # Written aside and moved into place; mkstemp makes the mode 0600.
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
        raise OSError(error.errno, error.strerror, str(file)) from error  # nobody has heard of the draft
