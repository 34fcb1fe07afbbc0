"""A Docker engine for tests, with its own folder, and images that are made from Debian's files."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

BUSYBOX = "/bin/busybox"


class PrivateEngine:
    """A `dockerd` with all its files in one folder. `scripts/test-engine` gives it its own network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "docker.sock"
        self.log = folder / "dockerd.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start the engine, and return when it responds."""
        command: list[str | Path] = [
            "dockerd",
            "--data-root",
            self.folder / "data",
            "--exec-root",
            self.folder / "exec",
        ]
        command += ["--pidfile", self.folder / "docker.pid", "--host", self.url, "--bridge", "none"]
        command += ["--cgroup-parent", f"/{self.folder.name}", *self.options()]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(600):
            if self._process.poll() is not None:
                break
            if self.socket.exists() and self.docker("version", check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError(f"dockerd did not start:\n{self.log.read_text()[-3000:]}")

    def options(self) -> list[str]:
        """Return more options, of the environment variable DOCKERD_OPTIONS."""
        return os.environ.get("DOCKERD_OPTIONS", "").split()

    def stop(self) -> None:
        """Stop the engine, as `systemctl stop docker` does; its containers stop too."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def kill(self) -> None:
        """End the engine as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)
            self._process = None

    def docker(
        self, *arguments: str, check: bool = True, stdin: bytes | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the `docker` command."""
        done = subprocess.run(
            [shutil.which("docker", path="/usr/bin") or "docker", "--host", self.url, *arguments],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=120,
        )
        result = subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
        if check and done.returncode:
            raise AssertionError(f"docker {' '.join(arguments)}: {result.stderr}")
        return result

    def push(self, image: str, host: str, username: str, password: str) -> None:
        """Move an image to a private registry."""
        self.docker("login", "--username", username, "--password-stdin", host, stdin=password.encode())
        try:
            self.docker("push", image)
        finally:
            self.docker("logout", host)
        self.docker("rmi", image)

    def remove_containers(self, label: str) -> None:
        """Remove all containers with a label."""
        if ids := self.docker("ps", "--all", "--quiet", "--filter", f"label={label}").stdout.split():
            self.docker("rm", "--force", "--volumes", *ids)

    def import_image(self, name: str, files: Mapping[str, bytes | str], *changes: str) -> str:
        """Make an image from files, which map paths to contents, and return its id.

        Args:
            name: The name and the tag.
            files: The contents by path; a text that starts with `->` is a symbolic link.
            changes: Instructions of a Dockerfile, such as `CMD ["/web"]`.
        """
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path, content in files.items():
                entry = tarfile.TarInfo(path)
                entry.mode = 0o755
                if isinstance(content, str) and content.startswith("->"):
                    entry.type, entry.linkname = tarfile.SYMTYPE, content[2:]
                    tar.addfile(entry)
                    continue
                data = content.encode() if isinstance(content, str) else content
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        options = [option for change in changes for option in ("--change", change)]
        return self.docker("import", *options, "-", name, stdin=archive.getvalue()).stdout.strip()


def busybox(*applets: str) -> dict[str, bytes | str]:
    """Return the files of an image with a few of busybox's commands."""
    files: dict[str, bytes | str] = {"bin/busybox": Path(BUSYBOX).read_bytes(), "tmp/.keep": ""}
    return files | {f"bin/{applet}": "->busybox" for applet in applets}
