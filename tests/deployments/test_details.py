"""Which runs belong to which revision."""

from __future__ import annotations

from typing import Any

import pytest

from paperspace.gradient import Client
from paperspace.gradient._core.session import Session
from paperspace.gradient.deployments._details import runs_by_spec


def _at(second: int) -> str:
    return f"2024-05-17T09:30:{second:02}.000Z"


@pytest.mark.parametrize(
    ("specs", "rollouts", "expected"),
    [
        ([3, 1], [3, 1], [["run 0"], ["run 1"]]),
        ([3, 1], [4, 2], [["run 0"], ["run 1"]]),  # applied a second after they were created
        ([3, 1], [2], [[], ["run 0"]]),  # the newest spec is not applied
        ([5, 3, 1], [6, 2], [["run 0"], [], ["run 1"]]),  # the middle one never was
        ([3, 1], [5, 4, 2], [["run 0", "run 1"], ["run 2"]]),  # the newest one was applied twice
        ([3, 3, 3], [3, 3, 3], [["run 0"], ["run 1"], ["run 2"]]),  # created within the same millisecond
        ([3], [], [[]]),
        ([], [], []),
    ],
)
def test_runs_by_spec(specs: list[int], rollouts: list[int], expected: list[list[str]]) -> None:
    """A rollout belongs to the newest spec that is not newer; of two of the same time, each has its own."""
    spec_nodes: Any = [{"dtCreated": _at(second)} for second in specs]
    rollout_nodes: Any = [
        {"dtCreated": _at(second), "deploymentRuns": {"nodes": [f"run {number}"]}}
        for number, second in enumerate(rollouts)
    ]
    runs: list[Any] = list(runs_by_spec(spec_nodes, rollout_nodes))
    assert runs == expected
    without_runs: Any = [{**rollout, "deploymentRuns": None} for rollout in rollout_nodes]
    assert list(runs_by_spec(spec_nodes, without_runs)) == [[] for _ in specs]


def test_updated_while_it_is_read(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is never shown at another spec, even if a spec is created between two requests of the same call."""
    id_ = client.deployments.create_deployment("mnist", "p1", {"image": "nginx:1"})["id"]
    before = client.deployments._get_deployment_details(id_)
    run = Session.run
    requests: list[str] = []

    async def run_and_update(session: Session, operation: Any, *args: Any, **options: Any) -> Any:
        result = await run(session, operation, *args, **options)
        requests.append(operation.name)
        if len(requests) == 1:
            await client.deployments._async.update_deployment(id=id_, spec={"image": "nginx:2"})
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Session, "run", run_and_update)
        during = client.deployments._get_deployment_details(id_)
    after = client.deployments._get_deployment_details(id_)

    def runs(details: dict[str, Any]) -> list[list[str]]:
        return [[run["id"] for run in spec["deploymentRuns"]["nodes"]] for spec in details["deploymentSpecs"]["nodes"]]

    assert runs(after)[1:] == runs(before)
    assert runs(during) in ([[], *runs(before)], runs(after), runs(before))
