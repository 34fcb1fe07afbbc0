"""A host of git repositories for tests: `git http-backend` behind TLS, on a free port of 127.0.0.1.

`/public/NAME` is open, `/private/NAME` needs the user name and the password, `/secret/NAME` refuses them. `/stalled/NAME`
never responds. `/away/NAME` redirects to the same repository on another host, `/plain/NAME` to a URL without TLS.
Files of Git LFS are below the same URLs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.faults.certificates import make_certificate

BACKEND = "/usr/lib/git-core/git-http-backend"
USER = "ada"


class GitServer:
    """A running host.

    Attributes:
        certificate: The file that clients must trust.
        credentials: What clients sent, of all requests.
        requests: The number of requests.
        stalls: Whether no request gets a response any more.
        large_files: The files of Git LFS, by their ids.
        large_files_url: The host of those files. None: this one.
        large_files_password: The password for the list of those files. None: the one of the repository, if it needs one.
        refused: The number of requests for this list with another password.
        large_files_stalled: The number of requests for this list that got no response. None: all get one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.password = "lovelace"
        self.requests = 0
        self.stalls = False
        self.credentials: list[str] = []
        self.other: str | None = None
        self.large_files: dict[str, bytes] = {}
        self.large_files_url: str | None = None
        self.large_files_password: str | None = None
        self.refused = 0
        self.large_files_stalled: int | None = None
        self.stopped = threading.Event()
        made = make_certificate(folder / "certificate")
        self.certificate = made.path
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.socket = made.context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[GitServer]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self.stopped.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def url_of(self, name: str, access: str = "public", user: str = "") -> str:
        """Return the URL of a repository, with a user if there is one."""
        scheme, host = self.url.split("//")
        return f"{scheme}//{user}{host}/{access}/{name}"

    def commit(self, name: str, files: Mapping[str, str], branch: str = "main", *, tag: str | None = None) -> str:
        """Add a commit to a repository, which is created if it does not exist; return its id.

        Args:
            name: The name of the repository.
            files: The content of each file. One that starts with `->` is a link.
            branch: The branch.
            tag: An annotated tag for the commit.
        """
        work = self.folder / "work" / name
        if not work.exists():
            work.mkdir(parents=True)
            git(work, "init", "--quiet", "--initial-branch", branch)
        elif git(work, "branch", "--list", branch):
            git(work, "checkout", "--quiet", branch)
        else:
            git(work, "checkout", "--quiet", "-b", branch)
        for path, content in files.items():
            file = work / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            if content.startswith("->"):
                file.symlink_to(content[2:])
            else:
                file.write_text(content)
        git(work, "add", "--all")
        git(work, "commit", "--quiet", "--allow-empty", "--message", "a change")
        if tag:
            git(work, "tag", "--annotate", "--message", tag, tag)
        self._publish(work, name)
        return git(work, "rev-parse", "HEAD")

    def large_file(self, content: bytes) -> str:
        """Add a file of Git LFS, and return what a commit has in its place."""
        object_id = hashlib.sha256(content).hexdigest()
        self.large_files[object_id] = content
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{object_id}\nsize {len(content)}\n"

    def _publish(self, work: Path, name: str) -> None:
        for access in ("public", "private", "secret"):
            bare = self.folder / "repositories" / access / name
            if not bare.exists():
                git(self.folder, "clone", "--quiet", "--bare", str(work), str(bare))
            git(work, "push", "--quiet", "--force", str(bare), "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*")

    def _handler(host) -> type[BaseHTTPRequestHandler]:  # noqa: C901, N805  # the handler has a `self` of its own
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def respond(self) -> None:
                host.requests += 1
                sent = self.headers.get("Authorization", "")
                user = base64.b64decode(sent.partition(" ")[2]).decode()
                if user:
                    host.credentials.append(user)
                self.body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                path, _, query = self.path.partition("?")
                access, _, rest = path[1:].partition("/")
                if access == "stalled" or host.stalls:
                    host.stopped.wait(60)
                    self.close_connection = True
                elif access == "away":
                    self._respond(302, {"Location": f"{host.other}/private/{rest}?{query}"})
                elif access == "plain":
                    self._respond(302, {"Location": f"http://127.0.0.1:1/{rest}?{query}"})
                elif access == "secret" and user:
                    self._respond(403)
                elif access != "public" and user != f"{USER}:{host.password}":
                    body = f"wrong: {user}".encode()  # hosts repeat what they get
                    self._respond(401, {"WWW-Authenticate": 'Basic realm="git"'}, body)
                elif "/info/lfs/" in path:
                    self._respond_to_lfs(path, user)
                else:
                    self._run_backend(path, query)

            do_GET = do_POST = respond  # noqa: N815  # names of http.server

            def _respond_to_lfs(self, path: str, user: str) -> None:
                if self.command == "GET":
                    self._respond(200, {}, host.large_files[path.rpartition("/")[2]])
                    return
                if host.large_files_stalled is not None:
                    host.large_files_stalled += 1
                    host.stopped.wait(60)
                    self.close_connection = True
                    return
                password = host.large_files_password
                if password is not None and user != f"{USER}:{password}":
                    host.refused += bool(user)
                    self._respond(401, {"WWW-Authenticate": 'Basic realm="git"'})
                    return
                objects = [
                    {**entry, **self._lfs_object(path, entry["oid"])} for entry in json.loads(self.body)["objects"]
                ]
                body = json.dumps({"transfer": "basic", "objects": objects}).encode()
                self._respond(200, {"Content-Type": "application/vnd.git-lfs+json"}, body)

            def _lfs_object(self, path: str, object_id: str) -> dict[str, Any]:
                if object_id not in host.large_files:
                    return {"error": {"code": 404, "message": "Object does not exist on the server"}}
                path = path.removesuffix("batch") if host.large_files_url is None else "/private/x/info/lfs/objects/"
                href = f"{host.large_files_url or host.url}{path}{object_id}"
                return {"actions": {"download": {"href": href}}}

            def _run_backend(self, path: str, query: str) -> None:
                environment = {
                    "PATH": os.environ["PATH"],
                    "HOME": str(host.folder),
                    "GIT_PROJECT_ROOT": str(host.folder / "repositories"),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "REQUEST_METHOD": self.command,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "CONTENT_LENGTH": str(len(self.body)),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                    "GIT_CONFIG_COUNT": "1",
                    "GIT_CONFIG_KEY_0": "safe.directory",
                    "GIT_CONFIG_VALUE_0": "*",
                }
                done = subprocess.run([BACKEND], input=self.body, env=environment, capture_output=True, check=False)
                head, _, content = done.stdout.partition(b"\r\n\r\n")
                headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
                status = int(headers.pop("Status", "200").split()[0])
                headers.pop("Content-Length", None)
                self._respond(status, headers, content)

            def _respond(self, status: int, headers: Mapping[str, str] = {}, body: bytes = b"") -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, and return its output."""
    names = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _WHO.items()}
    environment = {**os.environ, **names, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", "-C", folder, *arguments], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


_WHO = {"NAME": "Ada", "EMAIL": "ada@example.com"}
