"""The console responds to its own page only: hosts, origins, tokens and headers."""

from __future__ import annotations

import re

import pytest
from tests.console.conftest import Page

from paperspace.gradient.console.access import MAX_LINKS, TOKEN, Tokens
from paperspace.gradient.console.files import static_files
from paperspace.gradient.console.site import Site
from paperspace.gradient.server import LocalServer

pytestmark = pytest.mark.anyio

FOREIGN = "http://evil.example"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.1.5", "[", "@"]
)
async def test_a_foreign_host_is_refused(page: Page, host: str) -> None:
    """A name or address of another machine in the header Host is refused for every path, also with a token."""
    for method, path in (("GET", "/"), ("GET", "/console/static/app.js"), ("POST", "/console/api/check-spec")):
        status, _, body = await page.request(method, path, Host=host, Origin=f"http://{host}")
        assert (status, b"Host" in body) == (403, True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.1:80", "LOCALHOST:8700", "[::1]:8700"])
async def test_names_of_this_machine_are_accepted(page: Page, host: str) -> None:
    """Each name and port of this machine works, so that a tunnel to it works too."""
    status, _, _ = await page.request("GET", "/", Host=host)
    assert status == 200
    status, content = await page.post("/console/api/check-spec", {"text": "a"}, Host=host, Origin=f"http://{host}")
    assert (status, bool(content["problems"])) == (200, True)


@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://127.0.0.1:1", "file://", "127.0.0.1", ""])
async def test_a_foreign_origin_is_refused(page: Page, origin: str) -> None:
    """A request of another page, or of no page, is refused, also with a token."""
    for path in ("/console/session", "/console/link", "/console/api/check-spec", "/console/stream/deployments"):
        status, _, _ = await page.request("POST", path, {}, Origin=origin)
        assert status == 403
    if origin:
        status, _, _ = await page.request("GET", "/", Origin=origin)
        assert status == 403


async def test_a_request_across_sites_is_refused(page: Page) -> None:
    """What a browser calls a request of another site is refused, unless it opens the page."""
    status, _, _ = await page.request("POST", "/console/api/check-spec", {"text": ""}, Sec_Fetch_Site="cross-site")
    assert status == 403
    status, _, _ = await page.request("GET", "/", Sec_Fetch_Site="cross-site")
    assert status == 200


@pytest.mark.parametrize("path", ["/console/api/check-spec", "/console/stream/deployments"])
async def test_nothing_works_without_a_session(stranger: Page, server: LocalServer, path: str) -> None:
    """Without a token, or with another secret in its place, a request is refused."""
    for token in ("", "x", stranger.link_token, server.api_key):
        status, content = await stranger.post(path, {"text": ""}, X_Console_Token=token)
        assert (status, content["error"]["kind"]) == (401, "NoSession")


async def test_a_link_works_once(stranger: Page) -> None:
    """The token of a link is exchanged once. A replay is refused, and the session goes on."""
    await stranger.open_session()
    status, content = await stranger.post("/console/session", X_Console_Token=stranger.link_token)
    assert (status, content["error"]["kind"]) == (401, "NoSession")
    assert "used before" in content["error"]["message"]
    status, _ = await stranger.post("/console/api/check-spec", {"text": ""})
    assert status == 200


async def test_a_session_is_no_link(page: Page) -> None:
    """The token of a session opens no other session."""
    status, _ = await page.post("/console/session", X_Console_Token=page.token)
    assert status == 401


async def test_programs_get_links_with_the_api_key(stranger: Page, server: LocalServer) -> None:
    """A program with the API key gets a new link. A page cannot, and neither can a program with another key."""
    key = f"Bearer {server.api_key}"
    status, content = await stranger.post("/console/link", Authorization=key, Origin="")
    assert status == 200
    stranger.link_token = content["fragment"].removeprefix("#token=")
    await stranger.open_session()
    for headers in ({"Authorization": key}, {"Authorization": "Bearer x", "Origin": ""}, {"Origin": ""}):
        status, _ = await stranger.post("/console/link", **headers)
        assert status in (403, 404)


async def test_links_are_limited() -> None:
    """Above the limit, the oldest link stops to work."""
    tokens = Tokens()
    links = [tokens.new_link().removeprefix("#token=") for _ in range(MAX_LINKS + 1)]
    assert tokens.new_session(links[0]) is None
    assert tokens.new_session(links[1]) is not None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *[("GET", "/"), ("GET", "/console/static/app.js"), ("GET", "/nowhere"), ("POST", "/console/session")],
        *[("POST", "/console/api/check-spec"), ("POST", "/console/api/nowhere"), ("PUT", "/")],
    ],
)
async def test_every_response_has_the_headers(page: Page, method: str, path: str) -> None:
    """No response may run a script of its own, be framed, be sniffed, name its page to others, or set a cookie."""
    _, headers, _ = await page.request(method, path, {})
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize(
    "name", ["../application.py", "..%2fapplication.py", "%2e%2e/files.py", "/etc/passwd", "", "app.js/", "nowhere.js"]
)
async def test_only_files_of_the_page_are_sent(stranger: Page, name: str) -> None:
    """A path that leads elsewhere is not found."""
    status, _, _ = await stranger.request("GET", f"/console/static/{name}")
    assert status == 404


async def test_files_are_sent_again_only_if_they_changed(stranger: Page) -> None:
    """A browser that has a file gets no body."""
    _, headers, body = await stranger.request("GET", "/console/static/app.js")
    assert body
    status, headers, body = await stranger.request("GET", "/console/static/app.js", If_None_Match=headers["ETag"])
    assert (status, body) == (304, b"")
    assert "Content-Security-Policy" in headers


def test_the_page_loads_nothing_from_elsewhere() -> None:
    """The files of the page name no other host, and write no HTML: all text of deployments is set as text."""
    for name, file in static_files().items():
        text = file.body.decode()
        found = set(re.findall(r"https?://[\w.]+", text)) - {"http://www.w3.org"}  # the namespace of SVG
        assert found == set(), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text), (
            name
        )
        if name.endswith(".html"):
            assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", text), name


async def test_a_script_in_a_name_is_only_text(page: Page, site: Site, server: LocalServer) -> None:
    """What a deployment is called, and its image, are sent as JSON that no browser runs."""
    script = "<script>alert(1)</script>"
    text = f"image: {script!r}\n"
    arguments = {"text": text, "name": script, "projectId": "p", "id": None, "specId": None}
    status, headers, body = await page.request("POST", "/console/api/apply", arguments)
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, "application/json")
    async for line in page.lines("deployments", {}):
        assert line["value"]["rows"][0]["name"] == script
        break
    assert server.api_key.encode() not in body
    assert TOKEN not in site.link()
