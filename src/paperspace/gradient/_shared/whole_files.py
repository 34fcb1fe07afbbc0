"""Files that are written in one step: readers find the old content or the new, also after an error such as a full disk."""

from __future__ import annotations

import os
import re
import shutil
from functools import partial
from pathlib import Path


def write_whole(file: Path, data: bytes) -> None:
    """Write a file in one step, or create it. Its permissions, and a symbolic link to it, are kept.

    What is no regular file, such as a pipe, is written directly.

    Raises:
        OSError: It cannot be written. The old content is unchanged.
    """
    if file.exists() and not file.is_file():
        file.write_bytes(data)
    else:
        # Path.resolve raises a RuntimeError for a link to itself.
        replace_file(Path(os.path.realpath(file)), data)


def replace_file(file: Path, data: bytes, *, mode: int | None = None) -> None:
    """Replace a file in one step, or create it.

    Args:
        file: The file. A symbolic link is replaced, not what it refers to.
        data: The content.
        mode: The permissions. None: those of the old file; of a new file, those that the umask allows.

    Raises:
        OSError: It cannot be written. The old content is unchanged.
    """
    draft = file.with_name(f"{file.name}.{os.urandom(4).hex()}.draft")
    try:
        stream = open(draft, "xb", opener=partial(os.open, mode=0o666 if mode is None else mode))  # noqa: SIM115  # closed below
        try:
            with stream:
                if mode is None and file.exists():
                    shutil.copymode(file, draft)
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())  # otherwise, after a power failure, the file may have its name but no content
            draft.replace(file)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from error  # the user knows nothing of the draft


def remove_drafts(file: Path) -> None:
    """Remove what processes that were killed in `replace_file` have left. No other process may write the file meanwhile."""
    draft = re.compile(re.escape(file.name) + r"\.[0-9a-f]{8}\.draft")
    for path in file.parent.iterdir():
        if draft.fullmatch(path.name):
            path.unlink(missing_ok=True)
