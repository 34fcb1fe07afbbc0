"""The summary of deployments for `gradient server status`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

from paperspace.gradient import Client
from paperspace.gradient.server.control.report import describe_deployments, problems
from paperspace.gradient.server.storage.budget import UNLIMITED, Budget
from paperspace.gradient.server.storage.summary import (
    MAX_PROBLEMS,
    DeploymentState,
    Summary,
    deployment_states,
    summarize,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.conftest import Clock

    from paperspace.gradient.server import LocalServer
    from paperspace.gradient.server.storage.database import Database

T = TypeVar("T")


def read(server: LocalServer, function: Callable[[Database], T]) -> T:
    budget = Budget(UNLIMITED)
    return server._dispatcher._changes.run_and_wait(
        lambda backend: backend.read(lambda backend: function(backend.database), budget), budget
    )


def summary_of(server: LocalServer) -> Summary:
    return read(server, summarize)


def states_of(server: LocalServer) -> list[DeploymentState]:
    return read(server, deployment_states)


SCALED = {"replicas": 2, "autoscaling": {"maxReplicas": 6, "metrics": [{"metric": "cpu", "value": 80}]}}


def spec(behaviour: str | None = None, **fields: Any) -> Any:
    env = [{"name": "GRADIENT_SIMULATE", "value": behaviour}] if behaviour else []
    return {"image": "i", "env": env, **fields}


def test_counts_are_those_of_the_client(server: LocalServer, clock: Clock) -> None:
    """At each moment, the counts are those of the states that the client computes from the API."""
    specs = {
        "ready": spec(resources={"replicas": 2}),
        "default": spec(),
        "failed": spec("fail"),
        "crashing": spec("crash-loop"),
        "pending": spec("pending"),
        "stopped": spec(resources={"replicas": 0}),
        "disabled": spec(enabled=False),
        "refused": spec(resources={"replicas": 101}),
        "changed": spec(),
        "deleted": spec(),
        "scaled": spec(resources=SCALED),
    }
    server._runtime.loads["scaled"] = {"cpu": 480}  # type: ignore[attr-defined]  # of the simulation
    with Client(server.api_key, server.url) as client:
        api = client.deployments
        ids = {name: api.create_deployment(name, "p", value)["id"] for name, value in specs.items()}
        for seconds in (0, 2, 5, 11, 60, 1, 2.5):
            clock.forward(seconds=seconds)
            if seconds == 1:
                api.update_deployment(id=ids["scaled"], spec=spec(port=1, resources=SCALED))
            if seconds == 5:
                api.update_deployment(id=ids["changed"], spec=spec(image="j"))
                api.update_deployment(id=ids["default"], spec=spec(resources={"replicas": 0}))
                api.delete_deployment(ids["deleted"])
            statuses = api.list_deployment_statuses()
            summary = summary_of(server)
            assert +Counter(summary.counts) == Counter(status["state"] for status in statuses)
            wanted = {status["name"]: status["replicas"] for status in statuses}
            assert {state.name: state.replicas for state in states_of(server)} == wanted
            failed = {status["name"] for status in statuses if status["state"] == "failed"}
            assert failed <= {problem.name for problem in summary.problems} <= failed | {"crashing"}
        reasons = {problem.name: problem.reason for problem in summary.problems}
    assert "the limit is 100" in reasons["refused"]
    assert reasons.keys() == {"failed", "crashing", "refused"}


def test_few_problems_are_listed(server: LocalServer) -> None:
    """Of many problems, the newest are listed, and all are counted."""
    with Client(server.api_key, server.url) as client:
        for number in range(MAX_PROBLEMS + 3):
            client.deployments.create_deployment(f"d{number}", "p", spec(resources={"replicas": 101}))
    summary = summary_of(server)
    assert summary.counts["failed"] == MAX_PROBLEMS + 3
    assert [problem.name for problem in summary.problems[:2]] == ["d22", "d21"]
    assert len(summary.problems) == MAX_PROBLEMS


def test_an_earlier_revision_still_serves(server: LocalServer, clock: Clock) -> None:
    """The problem of a failed update says that the revision before still serves; that of a first revision does not."""
    with Client(server.api_key, server.url) as client:
        client.deployments.create_deployment("first", "p", spec("fail"))
        id_ = client.deployments.create_deployment("updated", "p", spec(resources={"replicas": 2}))["id"]
        clock.forward(seconds=60)
        client.deployments.update_deployment(id=id_, spec=spec("fail"))
        clock.forward(seconds=60)
    summary = summary_of(server)
    assert [(problem.name, problem.serving) for problem in summary.problems] == [("updated", 2), ("first", 0)]
    report = {
        "database": {"path": "gradient.db", "free": 2**40},
        "server": {"version": "1"},
        "engine": None,
        "gateway": None,
        "deployments": describe_deployments(summary),
        "unknownContainers": [],
    }
    assert list(problems(report, "1")) == [
        "Deployment updated: Simulated: cannot pull the image i. An earlier revision still serves.",
        "Deployment first: Simulated: cannot pull the image i.",
    ]
