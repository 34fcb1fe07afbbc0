"""An ssh server for tests: Debian's `sshd`, on a free port of 127.0.0.1, for one key."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class SshServer(NamedTuple):
    """A running server, and a client that knows its host key."""

    url: str
    """For root, without a path."""
    key: str
    """The private key that it accepts."""
    other_key: str
    client: Path
    """A folder with a program `ssh` that reads only the settings of this folder."""

    def forget_host_key(self) -> None:
        (self.client / "known_hosts").write_text("")


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Run a server."""
    folder.mkdir()
    for name in ("host", "user", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    shutil.copy(folder / "user.pub", folder / "authorized_keys")
    Path("/run/sshd").mkdir(exist_ok=True)  # of the mount namespace
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "authorized_keys",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "yes",
        "PidFile": "none",
    }
    (folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    client = folder / "client"
    client.mkdir()
    host_key = " ".join((folder / "host.pub").read_text().split()[:2])
    (client / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    (client / "ssh").write_text(
        f'#!/bin/sh\nexec /usr/bin/ssh -F none -o UserKnownHostsFile="{client}/known_hosts" "$@"\n'
    )
    (client / "ssh").chmod(0o755)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", folder / "sshd_config"], stdout=log, stderr=log)
    try:
        _wait(port, folder / "log")
        key, other_key = ((folder / name).read_text() for name in ("user", "other"))
        yield SshServer(f"ssh://root@127.0.0.1:{port}", key, other_key, client)
    finally:
        process.terminate()
        process.wait(30)


def _wait(port: int, log: Path) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text())
