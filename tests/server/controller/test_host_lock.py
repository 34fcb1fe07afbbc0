"""The lock on the containers of a database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from paperspace.gradient.server import UnusableDatabaseError
from paperspace.gradient.server.controller.host_lock import locked_containers
from paperspace.gradient.server.gateway.folder import RUNNER, locked_folder

HOLD = """
import sys, time
from paperspace.gradient.server.controller.host_lock import locked_containers
with locked_containers(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(60)
"""


FORK = """
import os, sys, time
from pathlib import Path
from paperspace.gradient.server.controller.host_lock import locked_containers
from paperspace.gradient.server.gateway.folder import RUNNER, locked_folder
with locked_containers(sys.argv[1]), locked_folder(Path(sys.argv[2])), locked_folder(Path(sys.argv[2]), RUNNER):
    child = os.fork()
    if sys.argv[3] == "goes on" and not child:
        print(os.getpid(), flush=True)  # now it does not have the locks any more
    elif sys.argv[3] == "ends" and not child:
        sys.exit()  # the blocks end in the child too
    elif sys.argv[3] == "ends":
        os.waitpid(child, 0)
        print(child, flush=True)
    time.sleep(60)
"""


def lock_of(id_: str) -> Path:
    return Path(f"/tmp/gradient-server-{id_}.lock")


def test_one_holder_and_no_file_left() -> None:
    """Only one server holds the lock of an id; when it ends, it leaves no file, and the next one can have it."""
    id_, other = str(uuid4()), str(uuid4())
    with locked_containers(id_), locked_containers(other):
        with pytest.raises(UnusableDatabaseError, match="another server on this machine"), locked_containers(id_):
            pass
        assert lock_of(id_).exists()
    assert not lock_of(id_).exists()
    assert not lock_of(other).exists()
    with locked_containers(id_):
        pass


def test_another_folder_for_temporary_files(tmp_path: Path) -> None:
    """The lock is the same for processes with different TMPDIR."""
    id_ = str(uuid4())
    command, environment = [sys.executable, "-c", HOLD, id_], {**os.environ, "TMPDIR": str(tmp_path)}
    with (
        locked_containers(id_),
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        taken = process.stdout.readline()
        process.kill()
    assert not taken


def test_killed_holder() -> None:
    """The lock ends with the process, also if it is killed; the file that it leaves behind is used again."""
    id_ = str(uuid4())
    with subprocess.Popen([sys.executable, "-c", HOLD, id_], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(UnusableDatabaseError), locked_containers(id_):
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with locked_containers(id_):
        pass


@pytest.mark.parametrize("child", ["goes on", "ends"])
def test_forked_child(tmp_path: Path, child: str) -> None:
    """A forked child does not have the locks: if it ends, they remain, and if the parent is killed, they end."""
    id_, folder = str(uuid4()), tmp_path / "gateway"
    command = [sys.executable, "-c", FORK, id_, str(folder), child]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        forked = int(process.stdout.readline())
        try:
            with pytest.raises(UnusableDatabaseError), locked_containers(id_):
                pass
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            with locked_containers(id_), locked_folder(folder), locked_folder(folder, RUNNER):
                pass
        finally:
            process.kill()
            if child == "goes on":
                os.kill(forked, signal.SIGKILL)


def test_symbolic_link(tmp_path: Path) -> None:
    """A symbolic link in place of the file, from another user of the machine, is not followed."""
    id_ = str(uuid4())
    lock_of(id_).symlink_to(tmp_path / "victim")
    try:
        with pytest.raises(UnusableDatabaseError, match="cannot lock the containers"), locked_containers(id_):
            pass
    finally:
        lock_of(id_).unlink()
    assert not (tmp_path / "victim").exists()
