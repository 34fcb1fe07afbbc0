"""Protected endpoints: passwords, and who may use the endpoint of which revision."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from paperspace.gradient.server.engines.access import security_of
from paperspace.gradient.server.engines.runtime import UnsupportedSpecError
from paperspace.gradient.server.engines.simulation import Simulation
from paperspace.gradient.server.engines.workloads import Workloads
from paperspace.gradient.server.protection import MAX_LENGTH, MIN_LENGTH, USER, Access, Passwords, digest_of
from paperspace.gradient.server.secrets import Secret
from paperspace.gradient.server.settings_files import write_settings
from paperspace.gradient.server.storage.database import Database
from paperspace.gradient.server.storage.store import Store

PASSWORD = "a password of many characters"
PROTECTED = {"protected": True}


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        (basic(USER, PASSWORD), True),
        (basic(USER, PASSWORD).replace("Basic", "basic"), True),
        (basic("paperspace", PASSWORD), True),  # as for the hosted service
        (None, False),
        ("", False),
        ("Basic", False),
        ("Basic !", False),
        ("Basic ä", False),
        (basic("admin", PASSWORD), False),
        (basic(USER, "wrong"), False),
        (basic(USER, ""), False),
        (basic(USER, PASSWORD).replace("Basic", "Bearer"), False),
    ],
)
def test_who_gets_in(header: str | None, allowed: bool) -> None:
    """Only the user name with the password gets in; without a known password, nobody does."""
    assert Access(digest_of(PASSWORD.encode())).allows(header) is allowed
    assert Access(None).allows(header) is False


def test_generated_passwords(tmp_path: Path) -> None:
    """Each deployment has its own password of 128 bits, which later servers know, and only the owner can read its key."""
    file = tmp_path / "key"
    passwords = Passwords(None, file)
    ids = [str(uuid4()) for _ in range(50)]
    found = [passwords.generated(id_) for id_ in ids]
    assert len(set(found)) == 50
    assert {len(password) for password in found} == {22}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [Passwords(None, file).generated(id_) for id_ in ids] == found
    assert Passwords().generated(ids[0]) != Passwords().generated(ids[0])
    assert Passwords(None, tmp_path / "other").generated(ids[0]) not in found


def test_a_lock_of_another_program(tmp_path: Path) -> None:
    """A program that locks the folder, such as `flock`, delays no password whose key is stored: requests would wait too."""
    file = tmp_path / "key"
    password = Passwords(None, file).generated("id")
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(Passwords(None, file).generated("id")))
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        thread.start()
        thread.join(20)
        assert found == [password]
    finally:
        os.close(folder)
        thread.join()


def test_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A named secret is the password; a new value counts at once; it may come from the environment."""
    file = tmp_path / "secrets"
    passwords = Passwords(file, tmp_path / "key")
    for value in (PASSWORD, PASSWORD * 2):
        write_settings(file, {"web": Secret(value)})
        assert passwords.password("id", {"protected": True, "secret": "web"}) == value
    monkeypatch.setenv("GRADIENT_SECRET_OTHER", PASSWORD)
    assert passwords.password("id", {"protected": True, "secret": "other"}) == PASSWORD
    assert not (tmp_path / "key").exists()


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("nosuch", "Unknown secret nosuch in endpointSecurity.secret; known: long, short."),
        ("short", f"the secret short has {MIN_LENGTH - 1} characters; a password has {MIN_LENGTH} to {MAX_LENGTH}."),
        ("long", f"the secret long has {MAX_LENGTH + 1} characters; a password has {MIN_LENGTH} to {MAX_LENGTH}."),
    ],
)
def test_secrets_that_cannot_be_used(tmp_path: Path, secret: str, message: str) -> None:
    """An unknown, short or long secret is an error of the spec that does not show it; without protection, it does not matter."""
    file = tmp_path / "secrets"
    write_settings(file, {"long": Secret("x" * (MAX_LENGTH + 1)), "short": Secret("x" * (MIN_LENGTH - 1))})
    passwords = Passwords(file)
    with pytest.raises(UnsupportedSpecError, match=message) as caught:
        passwords.check({"endpointSecurity": {"protected": True, "secret": secret}})
    assert "xxx" not in str(caught.value)
    assert passwords.access("id", {"protected": True, "secret": secret}) == Access(None)
    passwords.check({"endpointSecurity": {"protected": False, "secret": secret}})
    passwords.check({"endpointSecurity": None})
    passwords.check({})


class Revisions:
    """A deployment of the simulation, whose revisions a test adds in a transaction."""

    def __init__(self) -> None:
        self.database = Database(":memory:", lambda: datetime.now(UTC))
        self._workloads = Workloads(self.database, Simulation())
        self._store = Store(self.database, actor="Ada", new_id=uuid4)
        self.id = ""

    def add(self, security: dict[str, Any] | None) -> None:
        """Add a revision with this `endpointSecurity`. The first one creates the deployment."""
        data = {"image": "i", "endpointSecurity": security}
        if self.id:
            self._store.update_deployment(self.id, name=None, project_id=None, cluster_id=None, data=data)
        else:
            self.id = self._store.create_deployment(name="x", project_id="p", cluster_id=None, data=data)["id"]

    def apply(self) -> None:
        """Apply the newest revision."""
        self._workloads.apply_new_spec(self.id)

    def ids(self) -> list[str]:
        """The ids of the revisions, oldest first."""
        return [row["id"] for row in self.database.rows("SELECT id FROM deployment_specs ORDER BY seq")]

    def fail(self, spec_id: str) -> None:
        """Let a revision have failed."""
        self.database.execute("UPDATE deployment_specs SET error = 'failed' WHERE id = ?", spec_id)


@pytest.fixture
def revisions() -> Iterator[Revisions]:
    revisions = Revisions()
    with revisions.database.writing():
        yield revisions
    revisions.database.close()


PUBLIC, OLD, NEW = None, {"protected": True, "secret": "old"}, {"protected": True, "secret": "new"}


@pytest.mark.parametrize(
    ("serving", "newest", "failed", "counts"),
    [
        (PUBLIC, PUBLIC, False, None),
        (OLD, OLD, False, OLD),
        (PUBLIC, NEW, False, NEW),
        (OLD, PUBLIC, False, OLD),
        (OLD, {"protected": False}, False, OLD),
        (OLD, NEW, False, NEW),
        (PUBLIC, NEW, True, None),
        (OLD, PUBLIC, True, OLD),
        (OLD, NEW, True, OLD),
    ],
)
def test_which_revision_counts(
    revisions: Revisions,
    serving: dict[str, Any] | None,
    newest: dict[str, Any] | None,
    failed: bool,
    counts: dict[str, Any] | None,
) -> None:
    """During a rollout, the endpoint is protected if one of the two revisions is. One that has failed does not count."""
    for _ in range(2):
        revisions.add(None)
        revisions.apply()
    ids = revisions.ids()
    for spec_id, security in zip(ids, (serving, newest), strict=True):
        text = json.dumps({"image": "i", "endpointSecurity": security})
        revisions.database.execute("UPDATE deployment_specs SET data = ? WHERE id = ?", text, spec_id)
    if failed:
        revisions.fail(ids[1])
    assert security_of(revisions.database, revisions.id, ids[0]) == counts


@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize(("routed", "counts"), [("serving", None), ("between", PROTECTED)])
def test_a_revision_that_still_gets_requests(
    revisions: Revisions, routed: str, counts: dict[str, Any] | None, failed: bool
) -> None:
    """Between two public revisions, a protected one that was superseded or has failed counts as long as it gets requests."""
    for security in (None, PROTECTED) if failed else (None, PROTECTED, None):
        revisions.add(security)
        revisions.apply()
    serving, between, *_ = revisions.ids()
    revisions.fail(between)
    query = "SELECT id FROM instances WHERE spec_id = ?"
    instances = [row["id"] for row in revisions.database.rows(query, serving if routed == "serving" else between)]
    assert instances
    assert security_of(revisions.database, revisions.id, serving, instances) == counts


@pytest.mark.parametrize("failed", [False, True])
def test_before_anything_serves(revisions: Revisions, failed: bool) -> None:
    """A new deployment is protected before it serves, also if it has failed."""
    revisions.add(PROTECTED)
    assert security_of(revisions.database, revisions.id, None) is None  # it is not applied yet, and has no endpoint
    revisions.apply()
    if failed:
        revisions.fail(revisions.ids()[0])
    assert security_of(revisions.database, revisions.id, None) == PROTECTED
