"""`gradient console`, as a process: its link, the page behind it, and its end."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from tests.samples import API_KEY

from paperspace.gradient.cli._server_console import ServerConsole
from paperspace.gradient.server import LocalServer

COMMAND = [sys.executable, "-m", "paperspace.gradient", "console"]
TIMEOUT = 60


@contextmanager
def running(environment: dict[str, str], *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the command, and yield its process and its link."""
    with subprocess.Popen(
        [*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            match = re.fullmatch(r"Console: (http://127\.0\.0\.1:\d+/#token=\S+)\n", line)
            assert match, line
            yield process, match[1]
        finally:
            process.kill()


def use(link: str) -> list[str]:
    """Do what the page does with a link, and return the names of the deployments."""
    base, _, token = link.partition("/#token=")
    for path in ("/", "/console/static/app.js"):
        assert urlopen(Request(f"{base}{path}", headers={"Accept": "text/html"}), timeout=TIMEOUT).status == 200
    headers = {"Origin": base, "X-Console-Token": token}
    session = json.load(urlopen(Request(f"{base}/console/session", b"", headers), timeout=TIMEOUT))
    headers |= {"X-Console-Token": session["token"], "Content-Type": "application/json"}
    with urlopen(Request(f"{base}/console/stream/deployments", b"{}", headers), timeout=TIMEOUT) as stream:
        return [row["name"] for row in json.loads(stream.readline())["value"]["rows"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_the_page(environment: dict[str, str], server: LocalServer, number: signal.Signals) -> None:
    """The link leads to a page with the deployments of the server; a signal ends the command cleanly."""
    assert server.url
    with running(environment, "--port", "0", "--no-open") as (process, link):
        assert use(link) == []
        process.send_signal(number)
        out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, out) == (0, "")
    assert err == f"The console for {server.url} is served until Ctrl-C.\n"


def test_a_server_with_a_console_gives_a_link(environment: dict[str, str]) -> None:
    """The command prints a new link to the console of `gradient server`, and ends."""
    console = ServerConsole("127.0.0.1")
    with LocalServer(api_key=API_KEY, console=console) as server:
        environment |= {"PAPERSPACE_API_URL": server.url}
        for _ in range(2):
            done = subprocess.run(COMMAND, capture_output=True, text=True, env=environment, timeout=TIMEOUT, check=True)
            assert done.stderr == ""
            link = done.stdout.removeprefix("Console: ").strip()
            assert link.startswith(f"{server.url.removesuffix('graphql')}#token=")
            assert use(link) == []


def test_without_a_console_of_the_server_it_serves_one(environment: dict[str, str]) -> None:
    """For a server without a console, the command serves one, on another port if its own is in use."""
    with running(environment) as (_, first), running(environment) as (_, second):
        assert first.partition("#")[0] != second.partition("#")[0]
        assert use(first) == use(second) == []


def test_a_port_in_use(environment: dict[str, str]) -> None:
    """A port that was chosen is not replaced by another one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [*COMMAND, "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TIMEOUT, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: Port {port} is in use. Pass another one; 0 selects a free port.\n"


def test_no_api_key(environment: dict[str, str]) -> None:
    """Without an API key, the error is that of the other commands."""
    del environment["PAPERSPACE_API_KEY"]
    done = subprocess.run(COMMAND, capture_output=True, text=True, env=environment, timeout=TIMEOUT, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert "no API key" in done.stderr


CONSOLE_ONLY = "this URL is the console, for browsers; the GraphQL API is at /graphql"


class TestServer:
    """The console of `gradient server`."""

    @pytest.fixture
    def console(self) -> ServerConsole:
        return ServerConsole("127.0.0.1")

    @pytest.fixture
    def base(self, console: ServerConsole) -> Iterator[str]:
        with LocalServer(api_key=API_KEY, console=console) as server:
            yield server.url.removesuffix("/graphql")

    def test_programs_get_json(self, base: str) -> None:
        """A program that asks `/` gets JSON with status 404, which says where the API is if browsers get a page here."""
        with LocalServer() as plain:
            others = plain.url.removesuffix("/graphql")
            for accept in ("application/json", "*/*", "application/graphql-response+json"):
                for url, message in ((base, CONSOLE_ONLY), (others, "Not Found")):
                    status, content = fetch(f"{url}/", accept)
                    assert (status, json.loads(content)["errors"][0]["message"]) == (404, message)
            assert fetch(f"{others}/", "text/html")[0] == 404

    def test_browsers_get_pages(self, base: str, console: ServerConsole) -> None:
        """A browser gets the console at `/`, and a page that leads to it at `/graphql`."""
        assert b"app.js" in fetch(f"{base}/", "text/html,*/*;q=0.8")[1]
        assert b'<a href="/">' in fetch(f"{base}/graphql", "text/html")[1]
        with LocalServer() as plain:
            assert b'<a href="/">' not in fetch(plain.url, "text/html")[1]
        assert use(console.link()) == []

    def test_an_open_stream_does_not_delay_the_end(self) -> None:
        """A server that stops ends the streams of the console, and waits for none of them."""
        console = ServerConsole("127.0.0.1")
        server = LocalServer(api_key=API_KEY, console=console)
        server.start()
        base, _, token = console.link().partition("/#token=")
        headers = {"Origin": base, "X-Console-Token": token}
        session = json.load(urlopen(Request(f"{base}/console/session", b"", headers), timeout=TIMEOUT))
        headers |= {"X-Console-Token": session["token"], "Content-Type": "application/json"}
        with urlopen(Request(f"{base}/console/stream/deployments", b"{}", headers), timeout=TIMEOUT) as stream:
            stream.readline()
            server.stop()
            assert all(b"end" not in line for line in stream.readlines())


def fetch(url: str, accept: str) -> tuple[int, bytes]:
    """Return the status and the body of a response."""
    try:
        with urlopen(Request(url, headers={"Accept": accept}), timeout=TIMEOUT) as response:
            return response.status, response.read()
    except HTTPError as error:
        return error.code, error.read()
