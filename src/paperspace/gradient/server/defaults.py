"""Defaults of `gradient server`: the database and the files next to it, the API key and the actor."""

from __future__ import annotations

import getpass
import os
import secrets
from pathlib import Path

from paperspace.gradient._shared.server_files import ENDPOINT_KEY, KEY, SECRETS
from paperspace.gradient.server.protection import Passwords
from paperspace.gradient.server.storage.files import IN_MEMORY

SHARED_FOLDER = Path("/tmp")  # noqa: S108  # whatever is created in it is private
"""The folder for what all processes of a machine must find by its name, whatever their TMPDIR is."""


def default_database(*, create_folder: bool = False) -> Path:
    """Return the path of the database in the user's data folder. Only what writes there creates the folder."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    folder = Path(home) / "paperspace-gradient"
    if create_folder:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / "gradient.db"


def new_key() -> str:
    """Generate a random API key."""
    return secrets.token_urlsafe()


def beside(database: Path, name: str) -> Path:
    """Return the path of a file or folder next to a database: of `gradient.db`, `gradient.db.registries` for example.

    A symbolic link has the files of the database that it leads to: otherwise, the key, secrets and logs would depend on the name.
    """
    if os.path.islink(database):  # noqa: PTH114  # `Path.is_symlink` raises an error for a path that is too long
        database = Path(os.path.realpath(database))
    return database.parent / f"{database.name}.{name}"  # also if the path has no name; it is refused when it is opened


def gateway_folder(database: str | Path) -> Path:
    """Return the folder of the gateway of a database. Each name of the file leads to the same one."""
    return beside(Path(os.path.realpath(database)), "gateway")


def key_file(database: Path) -> Path:
    """Return the path of the file next to a database that stores its API key."""
    return beside(database, KEY)


def passwords_of(database: str | Path) -> Passwords:
    """Return the passwords of the protected endpoints of a database."""
    if str(database) == IN_MEMORY:
        return Passwords()
    return Passwords(beside(Path(database), SECRETS), beside(Path(database), ENDPOINT_KEY))


def system_user() -> str:
    """Return the full name of the user who runs this process, or the login name if there is no full name."""
    try:
        import pwd

        entry = pwd.getpwuid(os.getuid())
    except (ImportError, KeyError):
        try:
            return getpass.getuser()
        except (ImportError, KeyError, OSError):
            return "Unknown"  # in a container whose user has no entry in /etc/passwd
    return entry.pw_gecos.split(",")[0].strip() or entry.pw_name
