"""Calls to file systems that do not respond, and what is mounted below a folder."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paperspace.gradient.server.docker import file_systems
from paperspace.gradient.server.docker.file_systems import in_time, mounted_in


@contextmanager
def hanging(folder: Path) -> Iterator[Path]:
    """Make a file whose readers wait until the end of the block."""
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    try:
        yield fifo
    finally:
        fifo.write_text("read")


def test_a_call_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails in time. Until it ends, all calls for its path fail at once and start no further one; other calls do not."""
    monkeypatch.setattr(file_systems, "TIMEOUT", 0.1)
    threads = threading.active_count()
    with hanging(tmp_path) as fifo:
        for timeout in (0.1, 3600.0):
            monkeypatch.setattr(file_systems, "TIMEOUT", timeout)
            with pytest.raises(TimeoutError):
                in_time(fifo, fifo.read_text)
        assert threading.active_count() == threads + 1
        assert in_time(tmp_path, tmp_path.is_dir) is True
    while fifo in file_systems._calls:
        pass
    assert in_time(fifo, fifo.is_fifo) is True


def test_an_error_of_a_call(tmp_path: Path) -> None:
    """It is raised, and the next call is made again."""
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError):
        in_time(path, path.read_text)
    path.write_text("text")
    assert in_time(path, path.read_text) == "text"


def test_mounted_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is mounted inside of a folder is found, with any characters; not the folder itself, and not its neighbours."""
    mounts = tmp_path / "mountinfo"
    lines = [
        f"36 35 98:0 / {path} rw,noatime - ext4 /dev/sda rw"
        for path in (
            "/",
            "/models",
            "/models/a/in",
            "/models/a",
            "/models/a/with\\040space\x85",
            "/models/ab",
            "/models/a/in/b",
        )
    ]
    mounts.write_text("\n".join([*lines, ""]))
    monkeypatch.setattr(file_systems, "_MOUNTS", mounts)
    found = [str(path) for path in mounted_in(Path("/models/a"))]
    assert found == ["/models/a/in", "/models/a/in/b", "/models/a/with space\x85"]


def test_a_system_without_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not known what is mounted, nothing is found."""
    monkeypatch.setattr(file_systems, "_MOUNTS", tmp_path / "missing")
    assert mounted_in(Path("/")) == []
