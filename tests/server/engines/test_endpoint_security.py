"""Protected endpoints of the simulation, which responds by itself."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from tests.server.test_protection import PASSWORD, basic

from paperspace.gradient import AsyncClient
from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.protection import Passwords

pytestmark = pytest.mark.anyio

PROTECTED = {"image": "i", "endpointSecurity": {"protected": True}}
WITH_SECRET = {"image": "i", "endpointSecurity": {"protected": True, "secret": "web"}}


async def get(url: str, password: str | None = None) -> tuple[int, Any, str | None]:
    """Return the status, the JSON and the header `WWW-Authenticate` of a response."""
    headers = {} if password is None else {"Authorization": basic("gradient", password)}
    async with ClientSession() as session, session.get(f"{url}/a/b", headers=headers) as response:
        return response.status, await response.json(), response.headers.get("WWW-Authenticate")


async def test_protected_endpoint() -> None:
    """Without the password, the status is 401; with it, the endpoint responds; another deployment's does not count."""
    async with LocalServer() as server, AsyncClient(server.api_key, server.url) as client:
        api = client.deployments
        ids = [(await api.create_deployment(name, "p", PROTECTED, wait=True))["id"] for name in ("a", "b")]
        urls = [(await api.get_deployment_status(id_))["endpointUrl"] for id_ in ids]
        passwords = [server.endpoint_password(id_) for id_ in ids]
        for password in (None, "", "wrong", passwords[1]):
            status, body, challenge = await get(urls[0], password)
            assert status == 401
            assert challenge is not None
            assert challenge.startswith("Basic realm=")
            assert body["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
        for url, password in zip(urls, passwords, strict=True):
            assert (await get(url, password))[0] == 200


async def test_changes() -> None:
    """A change applies at once, and starts no replicas."""
    async with LocalServer() as server, AsyncClient(server.api_key, server.url) as client:
        api = client.deployments
        id_ = (await api.create_deployment("a", "p", {"image": "i"}, wait=True))["id"]
        url = (await api.get_deployment_status(id_))["endpointUrl"]
        assert (await get(url))[0] == 200
        await api.update_deployment(id=id_, spec=PROTECTED)
        assert (await get(url))[0] == 401
        assert (await get(url, server.endpoint_password(id_)))[0] == 200
        await api.update_deployment(id=id_, spec={"image": "i"}, wait=True)
        assert (await get(url))[0] == 200


async def test_before_it_is_ready() -> None:
    """A protected endpoint without ready replicas does not say so without the password."""
    async with LocalServer() as server, AsyncClient(server.api_key, server.url) as client:
        id_ = (await client.deployments.create_deployment("a", "p", {**PROTECTED, "enabled": False}))["id"]
        url = (await client.deployments.get_deployment_status(id_))["endpointUrl"]
        assert (await get(url))[0] == 401
        assert (await get(url, server.endpoint_password(id_)))[0] == 503


async def test_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A named secret is the password; an unknown one is an error of the spec, and the revision before stays."""
    async with LocalServer() as server, AsyncClient(server.api_key, server.url) as client:
        api = client.deployments
        rejected = (await api.create_deployment("a", "p", WITH_SECRET))["id"]
        status = await api.get_deployment_status(rejected)
        assert status["error"] is not None
        assert status["error"].startswith("Unknown secret web in endpointSecurity.secret; known: none.")
        monkeypatch.setenv("GRADIENT_SECRET_WEB", PASSWORD)
        id_ = (await api.create_deployment("b", "p", WITH_SECRET, wait=True))["id"]
        url = (await api.get_deployment_status(id_))["endpointUrl"]
        assert [(await get(url))[0], (await get(url, PASSWORD))[0]] == [401, 200]
        monkeypatch.delenv("GRADIENT_SECRET_WEB")
        assert (await get(url, PASSWORD))[0] == 401


async def test_stop_without_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment whose secret was deleted can be stopped, and its endpoint stays protected."""
    monkeypatch.setenv("GRADIENT_SECRET_WEB", PASSWORD)
    async with LocalServer() as server, AsyncClient(server.api_key, server.url) as client:
        api = client.deployments
        id_ = (await api.create_deployment("a", "p", WITH_SECRET, wait=True))["id"]
        monkeypatch.delenv("GRADIENT_SECRET_WEB")
        await api.stop_deployment(id_, wait=True)
        status = await api.get_deployment_status(id_)
        assert (status["state"], status["error"]) == ("stopped", None)
        assert (await get(status["endpointUrl"]))[0] == 401


async def test_the_next_server(tmp_path: Path) -> None:
    """The generated password stays the same, and only its key is stored, for the owner alone."""
    database = tmp_path / "gradient.db"
    ids: list[str] = []
    passwords = set()
    for _ in range(2):
        async with LocalServer(database=database) as server, AsyncClient(server.api_key, server.url) as client:
            if not ids:
                ids.append((await client.deployments.create_deployment("a", "p", PROTECTED, wait=True))["id"])
            url = (await client.deployments.get_deployment_status(ids[0]))["endpointUrl"]
            password = server.endpoint_password(ids[0])
            assert [(await get(url))[0], (await get(url, password))[0]] == [401, 200]
            passwords.add(password)
    assert len(passwords) == 1
    assert _files(tmp_path, password) == []


def test_an_empty_key(tmp_path: Path) -> None:
    """A file without a key, of a write that failed, gets one: an empty key would make passwords that everyone can compute."""
    file = tmp_path / "gradient.db.endpoint-key"
    file.touch()
    password = Passwords(key_file=file).generated("id")
    assert len(bytes.fromhex(file.read_text())) == 32
    assert Passwords(key_file=file).generated("id") == password


def _files(folder: Path, text: str) -> list[str]:
    """Return the names of the files with a text, and check the mode of the one with the key."""
    assert stat.S_IMODE((folder / "gradient.db.endpoint-key").stat().st_mode) == 0o600
    return [file.name for file in folder.iterdir() if text.encode() in file.read_bytes()]
