"""The file of metrics: what is stored, for how long, and what happens if it is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from paperspace.gradient.server.storage import side_file
from paperspace.gradient.server.storage.budget import LIGHT, UNLIMITED, Budget, BudgetExceededError
from paperspace.gradient.server.storage.metric_file import INTERVAL, KEPT, KIND, MetricFile, MetricReader, Point
from paperspace.gradient.server.storage.metric_series import MAX_POINTS, Range, series
from paperspace.gradient.server.storage.side_file import SideFileError, location_beside
from paperspace.gradient.server.usage import BOUNDS, NO_TRAFFIC, Traffic

NOW = datetime(2024, 5, 17, 9, 30, 5, tzinfo=UTC)
NUMBER = int(NOW.timestamp()) // INTERVAL
DURATIONS = (*(3 if bound == 0.1 else 1 if bound == 0.25 else 0 for bound in BOUNDS), 2)
TRAFFIC = Traffic(7, 1, 1.5, DURATIONS)
FULL = Point(2, 1, 0.5, 4.0, 100 * 1024, 200 * 1024, 3, TRAFFIC)
BARE = Point(0, 0)


class Files:
    """The file of a database, with a connection that writes and one that reads."""

    def __init__(self, database: str | Path) -> None:
        self.location = location_beside(database, KIND.name)
        self.writer = MetricFile(self.location)
        self.reader = MetricReader(self.location)

    def points(self, id_: str = "x", first: int = 0, last: int = 2 * NUMBER) -> list[tuple[int, Point]]:
        return self.reader.points([id_], first, last, Budget(UNLIMITED))[id_]

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


@pytest.mark.parametrize("point", [FULL, BARE, FULL._replace(traffic=NO_TRAFFIC), FULL._replace(traffic=None)])
def test_points_are_read_back(files: Files, point: Point) -> None:
    """What one connection stores, another reads, also unknown figures; deployments do not mix."""
    assert files.points() == []
    files.writer.append(NUMBER, {"x": point, "y": BARE})
    files.writer.append(NUMBER + 1, {"x": BARE, "y": BARE})
    assert files.points() == [(NUMBER, point), (NUMBER + 1, BARE)]
    assert files.points(first=NUMBER + 1) == [(NUMBER + 1, BARE)]
    assert files.points(last=NUMBER) == [(NUMBER, point)]
    assert files.points("unknown") == []


def test_a_day_is_kept(files: Files) -> None:
    """The oldest points go out: a deployment has those of a day, and at most ten minutes more."""
    for number in range(NUMBER, NUMBER + KEPT + 200, 20):
        files.writer.append(number, {"x": BARE})
    numbers = [number for number, _ in files.points()]
    assert numbers[-1] == NUMBER + KEPT + 180
    assert KEPT - 20 <= numbers[-1] - numbers[0] <= KEPT + 60


def test_a_clock_that_was_ahead(on_disk: Files) -> None:
    """What was stored while the clock was a year ahead is removed by the next server: it would be shown in a year."""
    for number in range(10):
        on_disk.writer.append(NUMBER + 365 * KEPT + number, {"x": FULL, "y": FULL})
    with closing(MetricFile(on_disk.location)) as next_one:
        next_one.append(NUMBER, {"x": BARE, "y": BARE})
    assert on_disk.points("x") == on_disk.points("y") == [(NUMBER, BARE)]


def test_deleted_deployments(on_disk: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures of deployments that do not exist any more are removed, and their space is freed, in small steps."""
    monkeypatch.setattr(side_file, "_FREED_PAGES", 10)
    monkeypatch.setattr(side_file, "_KEPT_PAGES", 5)
    for number in range(2000):
        on_disk.writer.append(NUMBER + number, {"x": FULL, "y": FULL})
    for number in range(2000, 2010):
        on_disk.writer.append(NUMBER + number, {"y": BARE})
    assert on_disk.points("x") == []
    assert len(on_disk.points("y")) == 2010
    on_disk.close()
    assert on_disk.location.file is not None
    assert on_disk.location.file.stat().st_size < 140_000
    on_disk.writer.append(NUMBER + 2010, {"x": BARE, "y": BARE})
    assert on_disk.points("x") == [(NUMBER + 2010, BARE)]


def test_the_same_interval_again(files: Files) -> None:
    """If the clock was set back, the last figures of an interval count."""
    files.writer.append(NUMBER, {"x": FULL})
    files.writer.append(NUMBER, {"x": BARE})
    assert files.points() == [(NUMBER, BARE)]


def test_a_damaged_file(on_disk: Files) -> None:
    """A damaged file is moved away, and the next figures are stored in a new one."""
    file = on_disk.location.file
    assert file is not None
    file.write_bytes(b"not a database" * 1000)
    assert on_disk.points() == []
    with pytest.raises(SideFileError, match=r"The metrics in .* It was moved to .*gradient\.db\.metrics\.damaged\.$"):
        on_disk.writer.append(NUMBER, {"x": FULL})
    on_disk.writer.append(NUMBER, {"x": FULL})
    assert on_disk.points() == [(NUMBER, FULL)]


def test_rows_count(files: Files) -> None:
    """The rows count in the budget of a request."""
    for number in range(10):
        files.writer.append(NUMBER + number, {"x": BARE})
    with pytest.raises(BudgetExceededError):
        files.reader.points(["x"], 0, 2 * NUMBER, Budget(LIGHT._replace(rows=9)))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param((None, None, None), (NUMBER - 359, NUMBER, 1), id="an hour"),
        pytest.param((timedelta(hours=1), None, None), (NUMBER - 359, NUMBER, 1), id="an hour that is named"),
        pytest.param((timedelta(hours=6), None, None), (NUMBER // 6 * 6 - 359 * 6, NUMBER, 6), id="six hours"),
        pytest.param((timedelta(minutes=5), None, None), (NUMBER - 30, NUMBER, 1), id="five minutes"),
        pytest.param((timedelta(minutes=5), 60, None), (NUMBER - 30, NUMBER, 6), id="with a step"),
        pytest.param((timedelta(minutes=5), 61, None), (NUMBER - 30, NUMBER, 7), id="a step is rounded up"),
        pytest.param((timedelta(hours=24), None, None), (NUMBER // 24 * 24 - 359 * 24, NUMBER, 24), id="a day"),
        pytest.param(
            (timedelta(days=9), 10, None), (NUMBER // 24 * 24 - 359 * 24, NUMBER, 24), id="not more than kept"
        ),
        pytest.param((None, None, 1), (NUMBER - 3, NUMBER, 1), id="the last one, which may not be stored yet"),
        pytest.param((timedelta(hours=24), 600, 2), (NUMBER - 120, NUMBER, 60), id="the last two of a day"),
        pytest.param((timedelta(hours=-1), None, None), (NUMBER + 360, NUMBER, 1), id="the future"),
    ],
)
def test_range(arguments: tuple[timedelta | None, int | None, int | None], expected: tuple[int, int, int]) -> None:
    """A series has at most `MAX_POINTS` points, with as short a step as possible."""
    ago, step, last = arguments
    found = Range.of(NOW, None if ago is None else NOW - ago, step, last)
    assert found == expected
    assert found.last // found.step - found.first // found.step < MAX_POINTS


def test_one_interval() -> None:
    """A point of one interval has its rates, and its durations as percentiles."""
    [point] = series([(NUMBER, FULL)], 1)
    assert point == {
        "time": NOW.replace(second=0),
        "replicas": 2,
        "readyReplicas": 1,
        "cpu": 0.5,
        "cpuLimit": 4.0,
        "memory": 102_400,
        "memoryLimit": 204_800,
        "activeRequests": 3,
        "requestsPerSecond": 0.7,
        "errorsPerSecond": 0.1,
        "requestDuration": 0.25,
        "requestDurationP50": pytest.approx(0.1),
        "requestDurationP95": BOUNDS[-1],
    }


def test_several_intervals() -> None:
    """A longer step has the mean of what was used, and the requests of all its intervals; unknown ones do not count."""
    unknown = FULL._replace(cpus=None, memory=None, traffic=None)
    quiet = FULL._replace(replicas=5, cpus=0.1, traffic=NO_TRAFFIC)
    numbers = range(6 * 100, 6 * 100 + 3)
    [point] = series(list(zip(numbers, [FULL, unknown, quiet], strict=True)), 6)
    assert (point["replicas"], point["cpu"], point["memory"]) == (5, pytest.approx(0.3), 102_400)
    assert (point["requestsPerSecond"], point["requestDuration"]) == (0.35, 0.25)
    assert point["time"] == datetime.fromtimestamp(6020, UTC)


def test_unknown_figures() -> None:
    """Figures that are unknown in all intervals are null, and so are durations without requests."""
    [unknown] = series([(NUMBER, BARE)], 1)
    assert {name for name, value in unknown.items() if value is not None} == {"time", "replicas", "readyReplicas"}
    [quiet] = series([(NUMBER, FULL._replace(traffic=NO_TRAFFIC))], 1)
    assert (quiet["requestsPerSecond"], quiet["requestDuration"], quiet["requestDurationP95"]) == (0.0, None, None)


def test_gaps() -> None:
    """While the server was down, there are no points."""
    points: list[tuple[int, Any]] = [(12, FULL), (13, FULL), (20, BARE)]
    assert [point["time"].timestamp() for point in series(points, 2)] == [130, 200]
