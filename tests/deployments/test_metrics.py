"""`get_deployment_metrics`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.altering_proxy import altered
from tests.samples import SPEC
from tests.server.storage.test_metric_file import BARE, FULL

from paperspace.gradient import AsyncClient, BadRequestError, Client, InvalidArgumentError, NotFoundError
from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.storage.metric_file import INTERVAL, KIND, MetricFile, Point
from paperspace.gradient.server.storage.side_file import location_beside

UNKNOWN_ID = "00000000-0000-0000-0000-0000000000ff"
NOW = datetime(2024, 5, 17, 9, 30, 5, tzinfo=UTC)
KEYS = {
    *("time", "replicas", "readyReplicas", "cpu", "cpuLimit", "memory", "memoryLimit", "activeRequests"),
    *("requestsPerSecond", "errorsPerSecond", "requestDuration", "requestDurationP50", "requestDurationP95"),
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "gradient.db"


@pytest.fixture
def server(database: Path) -> Iterator[LocalServer]:
    """A server whose clock stands still."""
    with LocalServer(database=database, now=lambda: NOW) as server:
        yield server


@pytest.fixture
def client(server: LocalServer) -> Iterator[Client]:
    with Client(server.api_key, server.url) as client:
        yield client


def store(database: Path, points: dict[str, Point], ago: int = 0) -> None:
    """Store figures, as a server with an engine does."""
    file = MetricFile(location_beside(database, KIND.name))
    file.append(int(NOW.timestamp()) // INTERVAL - ago, points)
    file.close()


def without_metrics(request: dict[str, Any]) -> None:
    """Change a request so that the server rejects it as one without metrics would."""
    request["query"] = request["query"].replace("metrics(", "figures(")


def test_points(client: Client, database: Path) -> None:
    """The points come oldest first, with exactly the documented keys; what is unknown is None."""
    id_ = client.deployments.create_deployment("n", "p", SPEC)["id"]
    store(database, {id_: FULL}, ago=3)
    store(database, {id_: BARE}, ago=2)
    first, second = client.deployments.get_deployment_metrics(id_)
    assert set(first) == set(second) == KEYS
    assert (first["time"], first["cpu"], first["memory"]) == ("2024-05-17T09:29:30.000Z", 0.5, 102_400)
    assert (first["requestsPerSecond"], first["requestDuration"]) == (0.7, 0.25)
    assert second["cpu"] is second["requestDurationP95"] is None


def test_simulation(client: Client) -> None:
    """Simulated deployments use nothing: there are no invented figures."""
    id_ = client.deployments.create_deployment("n", "p", SPEC)["id"]
    assert client.deployments.get_deployment_metrics(id_) == []


def test_since_and_step(client: Client, database: Path) -> None:
    """`since` limits the past, in UTC if it has no time zone; `step` makes fewer points, and there are never many."""
    id_ = client.deployments.create_deployment("n", "p", SPEC)["id"]
    for ago in (5000, 1000, 30, 3, 2, 1, 0):
        store(database, {id_: FULL}, ago)

    def times(**arguments: Any) -> list[str]:
        return [point["time"][11:19] for point in client.deployments.get_deployment_metrics(id_, **arguments)]

    assert times() == ["09:25:00", "09:29:30", "09:29:40", "09:29:50", "09:30:00"]
    minute = NOW - timedelta(minutes=1)
    assert times(since=minute) == times(since=minute.replace(tzinfo=None)) == times()[1:]
    assert times(since=minute.astimezone(tz=None)) == times()[1:]
    assert times(since=minute.isoformat()) == times()[1:]
    assert times(since=minute, step=20) == ["09:29:30", "09:29:50", "09:30:00"]
    assert times(since=minute, step=11) == times(since=minute, step=20)
    assert len(times(since=NOW - timedelta(days=3))) == 4  # a step of 240 s


def test_the_newest_points(client: Client, database: Path) -> None:
    """`gradient deployments top` reads the newest point of all deployments, or of one."""
    ids = [client.deployments.create_deployment(name, "p", SPEC)["id"] for name in ("a", "b")]
    store(database, {ids[0]: FULL, ids[1]: BARE}, ago=1)
    store(database, {ids[0]: FULL, ids[1]: FULL})
    newest = client.deployments._get_latest_metrics(None, "p")
    assert [(entry["name"], len(entry["metrics"])) for entry in newest] == [("b", 1), ("a", 1)]
    assert newest[0]["metrics"][0]["cpu"] == 0.5
    assert client.deployments._get_latest_metrics(ids[0], None) == newest[1:]
    assert client.deployments._get_latest_metrics(None, "other") == []


@pytest.mark.parametrize(("ago", "shown"), [(1, 1), (3, 1), (4, 0), (30, 0)])
def test_old_points_are_not_the_newest(client: Client, database: Path, ago: int, shown: int) -> None:
    """The newest point may be some seconds old. If there were no figures lately, there is none."""
    id_ = client.deployments.create_deployment("n", "p", SPEC)["id"]
    store(database, {id_: FULL}, ago)
    [deployment] = client.deployments._get_latest_metrics(id_, None)
    assert len(deployment["metrics"]) == shown


def test_async(server: LocalServer, database: Path) -> None:
    """The async version returns the same."""

    async def main() -> Any:
        async with AsyncClient(server.api_key, server.url) as client:
            id_ = (await client.deployments.create_deployment("n", "p", SPEC))["id"]
            store(database, {id_: FULL})
            return await client.deployments.get_deployment_metrics(id_)

    [point] = asyncio.run(main())
    assert point["cpu"] == 0.5


def test_duration(server: LocalServer, client: Client, database: Path, wire: list[dict[str, Any]]) -> None:
    """A duration counts back from the clock of the server, also if only the response says what that is."""
    id_ = client.deployments.create_deployment("n", "p", SPEC)["id"]
    for ago in (1000, 30, 3, 2, 1, 0):  # times 10 seconds
        store(database, {id_: FULL}, ago)
    points = client.deployments.get_deployment_metrics(id_, since=NOW - timedelta(hours=1), step=20)
    assert points
    with altered(server, clock=NOW - datetime.now(UTC)) as url, Client(server.api_key, url) as other:
        for requests in (2, 1):
            wire.clear()
            assert other.deployments.get_deployment_metrics(id_, since="1h", step=20) == points
            assert len(wire) == requests


def test_errors(client: Client) -> None:
    """Invalid arguments are reported before anything is sent; an unknown deployment is not found."""
    arguments: list[Any] = [
        {"since": "yesterday"},
        {"since": "10x"},
        {"since": "9999999999999d"},
        {"since": 5},
        {"step": 0},
        {"step": True},
        {"step": 1.5},
    ]
    for argument in arguments:
        with pytest.raises(InvalidArgumentError, match=next(iter(argument))):
            client.deployments.get_deployment_metrics(UNKNOWN_ID, **argument)
    with pytest.raises(InvalidArgumentError, match="id"):
        client.deployments.get_deployment_metrics("n")
    with pytest.raises(NotFoundError, match=UNKNOWN_ID):
        client.deployments.get_deployment_metrics(UNKNOWN_ID)


def test_a_server_without_metrics(server: LocalServer) -> None:
    """The error of a server that has no metrics says so."""
    with altered(server, request=without_metrics) as url, Client(server.api_key, url) as client:
        id_ = client.deployments.create_deployment("n", "p", SPEC)["id"]
        for call in (
            lambda: client.deployments.get_deployment_metrics(id_),
            lambda: client.deployments._get_latest_metrics(None, None),
        ):
            with pytest.raises(BadRequestError, match="this server has no metrics of deployments: "):
                call()
