"""The credentials of protected endpoints, read from a database and the files next to it. The server may run."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient._shared.spec_rules import normalize_name
from paperspace.gradient.server.clock import utc_now
from paperspace.gradient.server.control.interface import ControlError
from paperspace.gradient.server.defaults import passwords_of
from paperspace.gradient.server.engines.access import security_of
from paperspace.gradient.server.engines.runtime import UnsupportedSpecError
from paperspace.gradient.server.protection import USER
from paperspace.gradient.server.storage.database import Database
from paperspace.gradient.server.storage.files import UnusableDatabaseError, check_file, unusable

if TYPE_CHECKING:
    from pathlib import Path

_PRESENT = "SELECT id, name, serving_spec_id FROM deployments WHERE dt_deleted IS NULL AND"


class Credentials(NamedTuple):
    """The user name and the password of an endpoint."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "Credentials((hidden))"


def credentials_of(path: Path, name_or_id: str) -> Credentials:
    """Return the credentials of the endpoint of a deployment.

    Raises:
        ControlError: there is no such deployment, or several, its endpoint is not protected, or its secret does not exist.
    """
    try:
        if not path.is_file():
            raise unusable(path, "there is no such file")
        check_file(path)
        with closing(Database(path, utc_now, unchanged=True)) as database, database.reading():
            found = database.rows(f"{_PRESENT} id = ?", name_or_id.lower()) or database.rows(
                f"{_PRESENT} name = ? ORDER BY seq", normalize_name(name_or_id)
            )
            if not found:
                raise ControlError(f"There is no deployment {name_or_id}.")
            if len(found) > 1:
                ids = ", ".join(row["id"] for row in found)
                raise ControlError(f"{len(found)} deployments are named {name_or_id}. Pass one of these ids: {ids}.")
            [deployment] = found
            security = security_of(database, deployment["id"], deployment["servingSpecId"])
    except (UnusableDatabaseError, sqlite3.Error) as error:
        raise ControlError(f"{error}.") from error
    if security is None:
        raise ControlError(
            f"The endpoint of {name_or_id} is not protected. To protect it, set `endpointSecurity: {{protected: true}}` in its spec."
        )
    try:
        return Credentials(USER, passwords_of(path).password(deployment["id"], security))
    except UnsupportedSpecError as error:
        raise ControlError(str(error)) from error
    except OSError as error:
        raise ControlError(f"The file {error.filename} cannot be read: {error.strerror}.") from error
