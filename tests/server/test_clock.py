"""Time that never goes back."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.clock import SteadyClock, iso

if TYPE_CHECKING:
    from pathlib import Path

    from tests.raw_client import Caller
    from tests.server.conftest import Clock


STATUS = "{ deployments { nodes { dtCreated deploymentRollouts { nodes { deploymentRuns { nodes { readyReplicas } } } } } } }"


def ready(call: Caller) -> list[int]:
    nodes = call(STATUS).data["deployments"]["nodes"]
    return [node["deploymentRollouts"]["nodes"][0]["deploymentRuns"]["nodes"][0]["readyReplicas"] for node in nodes]


def test_a_clock_set_back(call: Caller, clock: Clock) -> None:
    """When the clock is set back an hour, deployments stay ready, history is kept, and new deployments become ready."""
    id_ = call.create("before")
    clock.forward(minutes=1)
    assert ready(call) == [1]
    created = call(STATUS).data
    clock.forward(hours=-1)
    assert ready(call) == [1]
    call.update(id_, spec=call.SPEC)
    assert call(
        "query ($id: UUID!) { deployment(id: $id) { logs { nodes { lines { nodes { line } } } } } }", id=id_
    ).data["deployment"]["logs"]["nodes"][0]["lines"]["nodes"]
    call.create("after")
    clock.forward(seconds=30)
    assert ready(call) == [1, 1]
    times = [node["dtCreated"] for node in call(STATUS).data["deployments"]["nodes"]]
    assert times[1] == created["deployments"]["nodes"][0]["dtCreated"]
    assert times[0] > times[1]


def test_a_clock_set_back_while_the_server_is_down(tmp_path: Path, caller: type[Caller], clock: Clock) -> None:
    """After a restart, time continues from the last change."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file, now=clock) as server:
        caller(server).create("a")
        clock.forward(minutes=10)
        assert ready(caller(server)) == [1]
        caller(server).create("b")
    clock.forward(hours=-1)
    with LocalServer(database=file, now=clock) as server:
        assert ready(caller(server)) == [0, 1]
        clock.forward(seconds=30)
        assert ready(caller(server)) == [1, 1]


def test_a_clock_that_was_a_year_ahead(tmp_path: Path, caller: type[Caller], clock: Clock) -> None:
    """After a restart with the right clock, what was ready is ready, and what was starting becomes ready; so it stays."""
    file = tmp_path / "gradient.db"
    clock.forward(days=365)
    with LocalServer(database=file, now=clock) as server:
        caller(server).create("a")
        clock.forward(minutes=10)
        caller(server).create("b")
        caller(server).create("c")
    clock.forward(days=-365)
    for expected in ([0, 0, 1], [1, 1, 1]):
        with LocalServer(database=file, now=clock) as server:
            call = caller(server)
            assert ready(call) == expected
            clock.forward(seconds=30)
            assert ready(call) == [1, 1, 1]
            logs = call("{ deployments { nodes { logs { nodes { lines { nodes { dtCreated } } } } } } }").data
            lines = [log["lines"]["nodes"] for node in logs["deployments"]["nodes"] for log in node["logs"]["nodes"]]
            assert [len(of_log) for of_log in lines] == [3, 3, 3]
            assert all(line["dtCreated"] <= iso(clock()) for of_log in lines for line in of_log)


def test_starts_after_the_clock_was_ahead(tmp_path: Path, caller: type[Caller], clock: Clock) -> None:
    """Each start with the right clock continues: what is to come is not replaced by the current time."""
    file = tmp_path / "gradient.db"
    clock.forward(days=365)
    with LocalServer(database=file, now=clock) as server:
        caller(server).create("a")
    clock.forward(days=-365)
    for _ in range(3):
        with LocalServer(database=file, now=clock) as server:
            call = caller(server)
            assert ready(call) == [0]
            query = "{ deployments { nodes { dtCreated deploymentSpecs { nodes { dtCreated cluster { dtCreated dtModified } } } } } }"
            [node] = call(query).data["deployments"]["nodes"]
            [newest] = node["deploymentSpecs"]["nodes"]
            assert max(node["dtCreated"], newest["dtCreated"], *newest["cluster"].values()) <= iso(clock())
        clock.forward(milliseconds=100)
    clock.forward(seconds=30)
    with LocalServer(database=file, now=clock) as server:
        assert ready(caller(server)) == [1]


def test_a_steady_clock(clock: Clock) -> None:
    """A clock that is set back continues from where it was, and follows the other again when that has caught up."""
    start = clock()
    steady = SteadyClock(clock)
    steps = [(10, 10), (-3600, 10), (5, 15), (-5, 15), (1, 16), (3700, 111)]
    for step, expected in steps:
        clock.forward(seconds=step)
        assert steady() == start + timedelta(seconds=expected)
    assert clock() == steady()
