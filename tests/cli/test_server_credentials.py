"""`gradient server credentials`."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from tests.cli.conftest import Run

from paperspace.gradient import Client
from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.secrets import Secret
from paperspace.gradient.server.settings_files import write_settings

GENERATED = {"image": "i", "endpointSecurity": {"protected": True}}
NAMED = {"image": "i", "endpointSecurity": {"protected": True, "secret": "web"}}
PASSWORD = "a password of many characters"


@pytest.mark.parametrize("server_is", ["up", "down"])
def test_credentials(run: Run, tmp_path: Path, server_is: str) -> None:
    """They are those that the endpoint accepts, by name and by id, in small letters and in capitals, whether the server runs or not."""
    database = tmp_path / "gradient.db"
    write_settings(tmp_path / "gradient.db.secrets", {"web": Secret(PASSWORD)})
    server = LocalServer(database=database)
    server.start()
    with Client(server.api_key, server.url) as client:
        for name, spec in (("a", GENERATED), ("b", NAMED), ("c", {"image": "i"})):
            client.deployments.create_deployment(name, "p", spec, wait=True)
        for project in ("p1", "p2"):
            client.deployments.create_deployment("twice", project, GENERATED)
        statuses = {status["name"]: status for status in client.deployments.list_deployment_statuses()}
    if server_is == "down":
        server.stop()

    def credentials(*arguments: str) -> Any:
        return run("server", "credentials", *arguments, "--database", str(database))

    assert credentials("b").stdout == f"gradient:{PASSWORD}\n"
    printed = credentials("a").stdout
    assert printed == f"gradient:{server.endpoint_password(statuses['a']['id'])}\n"
    assert credentials(statuses["a"]["id"]).stdout == credentials(statuses["a"]["id"].upper()).stdout == printed
    shown = json.loads(credentials("a", "-o", "json").stdout)
    assert f"{shown['username']}:{shown['password']}\n" == printed
    if server_is == "up":
        header = f"Basic {base64.b64encode(printed.strip().encode()).decode()}"
        with urlopen(Request(statuses["a"]["endpointUrl"], headers={"Authorization": header})) as response:
            assert response.status == 200
    for name, message in (
        (
            "c",
            "Error: The endpoint of c is not protected. To protect it, set `endpointSecurity: {protected: true}` in its",
        ),
        ("d", "Error: There is no deployment d.\n"),
        ("twice", "Error: 2 deployments are named twice. Pass one of these ids: "),
    ):
        refused = credentials(name)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert refused.stderr.startswith(message)
    server.stop()


def test_a_secret_that_was_deleted(run: Run, tmp_path: Path) -> None:
    """The error says which secret is missing. Without a database, there are no credentials."""
    database = tmp_path / "gradient.db"
    write_settings(tmp_path / "gradient.db.secrets", {"web": Secret(PASSWORD)})
    with LocalServer(database=database) as server, Client(server.api_key, server.url) as client:
        client.deployments.create_deployment("b", "p", NAMED, wait=True)
    write_settings(tmp_path / "gradient.db.secrets", {})
    refused = run("server", "credentials", "b", "--database", str(database))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Error: Unknown secret web in endpointSecurity.secret; known: none.")
    missing = run("server", "credentials", "b", "--database", str(tmp_path / "none"))
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "there is no such file" in missing.stderr
    memory = run("server", "credentials", "b", "--database", ":memory:")
    assert memory.exit_code == 2


@pytest.mark.parametrize(
    "command",
    [
        "credentials a",
        "status",
        "down --yes",
        "prune",
        "backup b.db",
        "secrets list",
        "registries list",
        "instance-types list",
        "secrets delete a",
    ],
)
def test_no_folder_without_a_server(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """A command that only reads the default database, or deletes from it, does not create its folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    run("server", *command.split())
    assert list(tmp_path.iterdir()) == []


def test_a_stored_secret_creates_the_folder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that stores something next to the default database creates its folder, only for its owner."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    result = run("server", "secrets", "set", "web", stdin=f"{PASSWORD}\n")
    assert result.exit_code == 0, result.stderr
    [folder] = (tmp_path / "data").iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
