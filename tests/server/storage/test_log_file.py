"""The file of logs: its bounds, and what happens if it is removed, damaged or cannot be written."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest

from paperspace.gradient.server.storage import log_file, side_file
from paperspace.gradient.server.storage.budget import UNLIMITED, Budget
from paperspace.gradient.server.storage.log_file import KIND, LogFile, Output
from paperspace.gradient.server.storage.log_pages import LogPages
from paperspace.gradient.server.storage.rows import Row
from paperspace.gradient.server.storage.side_file import SideFileError, location_beside
from paperspace.gradient.server.storage.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paperspace.gradient.server.storage.window import Page

TIME = 1_715_938_200_123_456_789


class Files:
    """The file of a database, with a connection that writes and one that reads."""

    def __init__(self, database: str | Path) -> None:
        self.location = location_beside(database, KIND.name)
        self.writer = LogFile(self.location)
        self.reader = LogPages(self.location)

    def append(self, instance: str, *texts: str, progress: str = "1", container: str | None = None) -> None:
        self.append_at([(TIME, text) for text in texts], instance, progress, container)

    def append_at(
        self, lines: list[tuple[int, str]], instance: str = "a", progress: str = "1", container: str | None = None
    ) -> None:
        container = container or f"c-{instance}"
        output = Output("d", instance, container, lines, self.writer.progress(container), progress)
        assert self.writer.append([output]) == []

    def page(self, instance: str, **fields: Any) -> Page | None:
        values = {"limit": 100, "from_end": False, "after": None, "before": None, "newest_first": False} | fields
        window = Window("list", **values)
        row = Row(id=instance, template="t", deploymentId="d", specId="s", instanceName=f"name of {instance}")
        return self.reader.pages([row], window, Budget(UNLIMITED)).get(instance)

    def texts(self, instance: str) -> list[str]:
        page = self.page(instance)
        return [row["message"] for row in page.rows] if page else []

    def close(self) -> None:
        self.reader.close()
        self.writer.close()


@pytest.fixture(params=["file", "memory"])
def files(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Files]:
    with closing(Files(tmp_path / "gradient.db" if request.param == "file" else ":memory:")) as files:
        yield files


@pytest.fixture
def on_disk(tmp_path: Path) -> Iterator[Files]:
    with closing(Files(tmp_path / "gradient.db")) as files:
        yield files


def file_of(files: Files) -> Path:
    assert files.location.file
    return files.location.file


def test_lines_are_read_back(files: Files) -> None:
    """What one connection stores, another reads, in the order of the numbers; logs do not mix."""
    assert files.page("a") is None
    files.append("a", "one", "two")
    files.append("b", "three")
    files.append("a", "four")
    page = files.page("a")
    assert page is not None
    assert [(row["line"], row["message"]) for row in page.rows] == [(1, "one"), (2, "two"), (3, "four")]
    assert page.rows[0]["dtCreated"] == "2024-05-17T09:30:00.123Z"
    assert files.texts("b") == ["three"]
    assert files.writer.progress("c-a") == "1"
    assert files.writer.progress("other") is None


def test_pages(files: Files) -> None:
    """Pages go in both directions, and say whether there is more on either side."""
    files.append("other", "x")
    files.append("a", *map(str, range(10)))
    everything = files.page("a")
    assert everything is not None
    seqs = [row["seq"] for row in everything.rows]

    def shown(**fields: Any) -> tuple[str, bool, bool]:
        page = files.page("a", **fields)
        assert page is not None
        return "".join(row["message"] for row in page.rows), page.has_previous, page.has_next

    assert shown(limit=3) == ("012", False, True)
    assert shown(limit=3, after=seqs[2]) == ("345", True, True)
    assert shown(limit=3, after=seqs[9]) == ("", True, False)
    assert shown(limit=2, from_end=True) == ("89", True, False)
    assert shown(limit=2, from_end=True, before=seqs[2]) == ("01", False, True)
    assert shown(limit=2, newest_first=True) == ("98", False, True)


def test_a_log_is_bounded(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest lines of a log that is too large are removed, and the numbers go on; other logs stay."""
    monkeypatch.setattr(log_file, "MAX_LOG", 10_000)
    files.append("b", "other")
    for number in range(100):
        files.append("a", *["x" * 200] * 3, f"{number} é" + "y" * 100, "")
    page = files.page("a", limit=1000)
    assert page is not None
    rows = list(page.rows)
    assert rows[-1]["line"] == 500
    assert [row["line"] for row in rows] == list(range(rows[0]["line"], 501))
    size = sum(len(row["message"].encode()) for row in rows)
    assert 7_000 < size < 10_000
    assert files.texts("b") == ["other"]


def test_numbers_start_again(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log whose numbers would be too large for the API starts again, with its newest lines; other logs stay."""
    monkeypatch.setattr(log_file, "MAX_LINE", 4)
    files.append("a", "one", "two", "three")
    files.append("b", "other")
    files.append("a", "four", "five")
    page = files.page("a")
    assert page is not None
    assert [(row["line"], row["message"]) for row in page.rows] == [(1, "four"), (2, "five")]
    assert files.writer.progress("c-a") == "1"
    assert files.texts("b") == ["other"]


def test_empty_lines_count(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of empty lines is bounded too."""
    monkeypatch.setattr(log_file, "MAX_LOG", 10_000)
    for _ in range(50):
        files.append("a", *[""] * 100)
    page = files.page("a", limit=10_000)
    assert page is not None
    assert len(page.rows) < 1000


def test_dropped_logs_are_gone(on_disk: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dropped log frees its space on the disk, in small steps."""
    monkeypatch.setattr(side_file, "_FREED_PAGES", 200)
    monkeypatch.setattr(side_file, "_KEPT_PAGES", 5)
    for number in range(20):
        on_disk.append("a", *[f"{number}" * 1000] * 100)
    on_disk.append("b", "kept")
    on_disk.writer.drop(["a", "unknown"])
    for _ in range(4):
        on_disk.writer.drop([])
    on_disk.close()
    assert on_disk.texts("b") == ["kept"]
    assert on_disk.page("a") is None
    assert on_disk.writer.progress("c-a") is None
    assert on_disk.writer.logs() == [("d", "b")]
    on_disk.close()
    assert file_of(on_disk).stat().st_size < 100_000


def test_a_transaction_is_all_or_nothing(files: Files) -> None:
    """If a batch cannot be stored, neither are its lines nor its progress."""
    files.append("a", "one", progress="1")
    good = Output("d", "a", "c-a", [(TIME, "two")], "1", "2")
    bad = Output("d", "a", "c-a", [(TIME, None)], "2", "3")  # type: ignore[list-item]
    with pytest.raises(SideFileError):
        files.writer.append([good, bad])
    assert files.texts("a") == ["one"]
    assert files.writer.progress("c-a") == "1"


def test_old_progress_is_forgotten(files: Files) -> None:
    """An instance that is restarted again and again keeps the progress of its last containers only."""
    for number in range(30):
        files.append("a", "x", container=f"c{number}")
    known = [number for number in range(30) if files.writer.progress(f"c{number}")]
    assert known == list(range(20, 30))


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_removed_file(on_disk: Files, suffix: str) -> None:
    """If a file is removed while it is used, that is an error once; then lines are stored in a new one, and read from there."""
    on_disk.append("a", "one")
    assert on_disk.texts("a") == ["one"]
    file = file_of(on_disk)
    file.with_name(file.name + suffix).unlink()
    output = Output("d", "a", "c-a", [(TIME, "two")], "1", "2")
    with pytest.raises(SideFileError, match="a file was removed or replaced"):
        on_disk.writer.append([output])
    assert on_disk.writer.progress("c-a") is None  # so that everything is read again
    on_disk.append("a", "two")
    assert on_disk.texts("a") == ["two"]


def test_what_does_not_continue_the_file(on_disk: Files) -> None:
    """Lines are left out if those before them are not in the file: it was replaced, and everything has to be read again."""
    on_disk.append("a", "one")
    file_of(on_disk).unlink()
    assert on_disk.texts("a") == []
    with pytest.raises(SideFileError):
        on_disk.writer.logs()
    two, other = (Output("d", id_, f"c-{id_}", [(TIME, id_)], before, "2") for id_, before in (("a", "1"), ("b", None)))
    assert on_disk.writer.append([two, other]) == [two]
    assert on_disk.texts("a") == []
    assert on_disk.texts("b") == ["b"]


def test_cursors_outlive_the_file(on_disk: Files) -> None:
    """A cursor continues after the same line in a new file, although its number is another one there."""
    lines = [(TIME + number // 3, f"{number}") for number in range(12)]
    on_disk.append_at([(TIME - 5, "of a container that is gone")])
    on_disk.append_at(lines)
    page = on_disk.page("a")
    assert page is not None
    cursors = {row["message"]: row["seq"] for row in page.rows}
    file_of(on_disk).unlink()
    with pytest.raises(SideFileError):
        on_disk.writer.logs()
    on_disk.append("b", "other")
    on_disk.append_at([*lines, (TIME, "more")])
    for text, cursor in cursors.items():
        after, before = on_disk.page("a", after=cursor), on_disk.page("a", before=cursor, from_end=True)
        assert after is not None
        assert before is not None
        index = int(text) if text.isdigit() else -1
        assert [row["message"] for row in after.rows] == [*[str(number) for number in range(index + 1, 12)], "more"]
        assert [row["message"] for row in before.rows] == [str(number) for number in range(index)]


def test_times_in_a_log_increase(files: Files) -> None:
    """No line is dated before the one above it, also if the clock was set back."""
    for at in (5_000_000, 3_000_000, 9_000_000):
        files.append_at([(at, f"{at}"), (at, "again")])
    page = files.page("a")
    assert page is not None
    assert [row["seq"] for row in page.rows] == [5_000_000, 5_000_001, 5_000_002, 5_000_003, 9_000_000, 9_000_001]


def test_a_damaged_file(on_disk: Files) -> None:
    """A damaged file is moved away, and the next lines are stored in a new one."""
    file = file_of(on_disk)
    file.write_bytes(b"not a database" * 1000)
    assert on_disk.texts("a") == []
    with pytest.raises(SideFileError, match=r"not a database.* It was moved to .*gradient\.db\.logs\.damaged\.$"):
        on_disk.append("a", "one")
    on_disk.append("a", "one")
    assert on_disk.texts("a") == ["one"]
    assert file.with_name("gradient.db.logs.damaged").read_bytes().startswith(b"not a database")


def test_readers_of_a_damaged_file(on_disk: Files, caplog: pytest.LogCaptureFixture) -> None:
    """A file that cannot be read has no logs. That is logged once, however many read it, until it can be read again."""
    file = file_of(on_disk)
    for _ in range(2):
        for part in file.parent.glob(f"{file.name}*"):
            part.unlink()
        file.write_bytes(b"not a database" * 1000)
        with caplog.at_level(logging.WARNING):
            assert [on_disk.texts("a") for _ in range(3)] == [[], [], []]
        assert [record.getMessage() for record in caplog.records] == [
            f"The logs in {file} cannot be read: file is not a database."
        ]
        caplog.clear()
        with suppress(SideFileError):
            on_disk.append("a", "one")
        on_disk.append("a", "one")
        assert on_disk.texts("a") == ["one"]


@pytest.mark.parametrize("kind", ["folder", "foreign", "newer"])
def test_a_file_that_cannot_be_used(on_disk: Files, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A folder, the file of another program or of a newer version are errors, and stay as they are."""
    file = file_of(on_disk)
    if kind == "folder":
        file.mkdir()
    elif kind == "foreign":
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE logs (a)")
    else:
        on_disk.append("a", "one")
        on_disk.close()
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA user_version = 2")
    before = None if kind == "folder" else file.read_bytes()
    reason = {"folder": "unable to open", "foreign": "another program", "newer": "newer version"}[kind]
    for _ in range(2):
        with pytest.raises(SideFileError, match=reason):
            on_disk.append("a", "two")
    with caplog.at_level(logging.WARNING):
        on_disk.texts("a")
    assert before is None or file.read_bytes() == before
