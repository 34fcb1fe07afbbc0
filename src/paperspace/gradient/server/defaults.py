"""What the command falls back to: where the data and the key are, and in whose name."""

from __future__ import annotations

import getpass
import os
import secrets
from pathlib import Path


def default_database() -> Path:
    """The database in the user's data folder, which is made if need be."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    folder = Path(home) / "paperspace-gradient"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / "gradient.db"


def new_key() -> str:
    """A key that nobody can guess."""
    return secrets.token_urlsafe()


def key_file(database: Path) -> Path:
    """The file beside a database that keeps its key."""
    return database.with_name(database.name + ".key")


def system_user() -> str:
    """The full name of the user who runs this process, or else the login name."""
    try:
        import pwd

        entry = pwd.getpwuid(os.getuid())
    except (ImportError, KeyError):
        try:
            return getpass.getuser()
        except (ImportError, KeyError, OSError):
            return "Unknown"  # a container, run by a user that it does not know
    return entry.pw_gecos.split(",")[0].strip() or entry.pw_name
