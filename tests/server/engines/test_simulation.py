"""The simulated life of deployments, with a clock that is moved by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.engines.runtime import InstanceRemoved, LineLogged, StateChanged
from paperspace.gradient.server.engines.simulation import Scenario, Simulation

if TYPE_CHECKING:
    from pathlib import Path

    from tests.raw_client import Caller, Json
    from tests.server.conftest import Clock


LIFE = """
query ($id: UUID!) {
  deployment(id: $id) {
    deploymentSpecs { nodes { id error externalApplied dtInvalid deploymentRuns { nodes { id } } } }
    deploymentRollouts { nodes { id deployment { id } deploymentRuns { nodes {
      id dtCreated dtModified dtDeleted replicas readyReplicas availableReplicas
      deploymentRunInstances { nodes {
        id instanceId phase state stateMessage dtStarted dtFinished dtDeleted externalApplied
        history { nodes { deploymentRunInstanceId state message timestamp } }
      } }
    } } } }
    logs { nodes { instanceName instanceStarted instanceStopped lines { nodes { line message dtCreated } } } }
  }
}
"""


def life(call: Caller, id_: str) -> Any:
    return call(LIFE, id=id_).data["deployment"]


def runs(call: Caller, id_: str) -> Any:
    """The runs of a deployment, newest first."""
    return [
        run for rollout in life(call, id_)["deploymentRollouts"]["nodes"] for run in rollout["deploymentRuns"]["nodes"]
    ]


def instances(run: Any) -> Any:
    return run["deploymentRunInstances"]["nodes"]


def states(run: Any) -> list[str]:
    return [instance["state"] for instance in instances(run)]


def spec(replicas: int, **more: Any) -> Json:
    return {"image": "tensorflow/serving", "resources": {"replicas": replicas}, **more}


def scenario_spec(scenario: str, replicas: int = 1) -> Json:
    return spec(replicas, env=[{"name": "GRADIENT_SIMULATE", "value": scenario}])


def test_all_is_there_when_the_mutation_answers(call: Caller) -> None:
    """At once the spec is applied, and its rollout, run and instances exist, pending."""
    id_ = call.create(spec=spec(3))
    now = "2024-05-17T09:30:00.000Z"
    deployment = life(call, id_)
    (made,) = deployment["deploymentSpecs"]["nodes"]
    assert (made["externalApplied"], made["error"], made["dtInvalid"]) == (now, None, None)
    (rollout,) = deployment["deploymentRollouts"]["nodes"]
    assert rollout["deployment"] == {"id": id_}
    (run,) = rollout["deploymentRuns"]["nodes"]
    assert made["deploymentRuns"]["nodes"] == [{"id": run["id"]}]
    assert (run["replicas"], run["readyReplicas"], run["availableReplicas"], run["dtDeleted"]) == (3, 0, 0, None)
    assert states(run) == ["pending"] * 3
    for instance in instances(run):
        assert (instance["phase"], instance["dtStarted"], instance["externalApplied"]) == ("Pending", None, now)
        assert "Simulated" in instance["stateMessage"]


def test_instances_become_healthy_one_by_one(call: Caller, clock: Clock) -> None:
    """The instances start and become healthy one after the other, and their history and logs say when."""
    id_ = call.create(spec=spec(3))
    seen = []
    for _ in range(9):
        seen.append(runs(call, id_)[0]["readyReplicas"])
        clock.forward(seconds=0.5)
    assert seen == [0, 0, 0, 0, 1, 2, 3, 3, 3]
    (run,) = runs(call, id_)
    last = instances(run)[2]
    assert (last["phase"], last["state"], last["dtStarted"]) == ("Running", "healthy", "2024-05-17T09:30:02.000Z")
    history = last["history"]["nodes"]
    assert [(state["state"], state["timestamp"][17:]) for state in history] == [
        ("pending", "00.000Z"),
        ("pending", "02.000Z"),
        ("healthy", "03.000Z"),
    ]
    assert {state["deploymentRunInstanceId"] for state in history} == {last["id"]}
    assert run["dtModified"] == "2024-05-17T09:30:03.000Z"
    log = life(call, id_)["logs"]["nodes"][2]
    assert (log["instanceName"], log["instanceStarted"]) == (last["instanceId"], last["dtStarted"])
    lines = log["lines"]["nodes"]
    assert [line["line"] for line in lines] == [1, 2, 3]
    assert all(line["message"].startswith("[simulated] ") for line in lines)


@pytest.mark.parametrize(("before", "after"), [(3, 3), (2, 5), (5, 2), (1, 1)])
def test_a_rollout_never_serves_with_less(call: Caller, clock: Clock, before: int, after: int) -> None:
    """The old run gives way one for one: what is ready never falls below the lesser of the two numbers wanted."""
    id_ = call.create(spec=spec(before))
    clock.forward(minutes=1)
    call.update(id_, spec=spec(after))
    counts = []
    for _ in range(24):
        new, old = runs(call, id_)
        counts.append((new["readyReplicas"], old["readyReplicas"]))
        clock.forward(seconds=0.25)
    assert counts[0] == (0, before)
    assert counts[-1] == (after, 0)
    assert min(new + old for new, old in counts) >= min(before, after)
    _, old = runs(call, id_)
    assert (old["replicas"], old["dtDeleted"] is None) == (0, False)
    assert {(one["phase"], one["state"], one["dtDeleted"] == one["dtFinished"]) for one in instances(old)} == {
        ("Succeeded", "healthy", True)
    }


def test_a_third_spec_in_the_middle_of_a_rollout(call: Caller, clock: Clock) -> None:
    """A spec that comes in the middle of a rollout takes over: what was not ready goes, what serves gives way later."""
    id_ = call.create(spec=spec(2))
    clock.forward(minutes=1)
    call.update(id_, spec=spec(2))
    clock.forward(seconds=2)
    call.update(id_, spec=spec(2))
    third, second, first = runs(call, id_)
    assert (third["readyReplicas"], second["readyReplicas"], first["readyReplicas"]) == (0, 1, 2)
    assert second["replicas"] == 1
    lowest = 3
    for _ in range(20):
        lowest = min(lowest, sum(run["readyReplicas"] for run in runs(call, id_)))
        clock.forward(seconds=0.25)
    assert lowest == 2
    assert [run["readyReplicas"] for run in runs(call, id_)] == [2, 0, 0]
    assert [run["dtDeleted"] is None for run in runs(call, id_)] == [True, False, False]


@pytest.mark.parametrize("nothing", [spec(0), {"image": "i", "enabled": False}, spec(3, enabled=False)])
def test_what_is_stopped_drains(call: Caller, clock: Clock, nothing: Json) -> None:
    """With no replicas, or disabled, the run drains until none remains, and there is no new one."""
    id_ = call.create(spec=spec(2))
    clock.forward(minutes=1)
    call.update(id_, spec=nothing)
    assert runs(call, id_)[0]["dtDeleted"] is None
    clock.forward(seconds=1)
    deployment = life(call, id_)
    assert deployment["deploymentSpecs"]["nodes"][0]["externalApplied"]
    new, old = deployment["deploymentRollouts"]["nodes"]
    assert new["deploymentRuns"]["nodes"] == []
    (run,) = old["deploymentRuns"]["nodes"]
    assert (run["replicas"], run["readyReplicas"], run["dtDeleted"]) == (0, 0, "2024-05-17T09:31:01.000Z")
    call.update(id_, spec=spec(1))
    clock.forward(minutes=1)
    assert runs(call, id_)[0]["readyReplicas"] == 1


@pytest.mark.parametrize(
    ("scenario", "last", "phase"),
    [
        ("healthy", "healthy", "Running"),
        ("fail", "errored", "Pending"),
        ("crash-loop", "failed", "Failed"),
        ("pending", "pending", "Pending"),
        ("unheard of", "healthy", "Running"),
    ],
)
def test_scenarios(call: Caller, clock: Clock, scenario: str, last: str, phase: str) -> None:
    """A spec's own variable decides what becomes of its instances; what ran before goes on until it is replaced."""
    id_ = call.create(spec=spec(1))
    clock.forward(minutes=1)
    call.update(id_, spec=scenario_spec(scenario))
    clock.forward(minutes=10)
    new, old = runs(call, id_)
    assert (states(new), instances(new)[0]["phase"]) == ([last], phase)
    assert (new["readyReplicas"], old["readyReplicas"]) == ((1, 0) if last == "healthy" else (0, 1))


def test_a_crash_loop(call: Caller, clock: Clock) -> None:
    """A container that crashes is tried again and again, and then given up."""
    id_ = call.create(spec=scenario_spec("crash-loop"))
    clock.forward(seconds=2)
    assert states(runs(call, id_)[0]) == ["retrying"]
    clock.forward(minutes=1)
    (instance,) = instances(runs(call, id_)[0])
    history = [state["state"] for state in instance["history"]["nodes"]]
    assert history == ["pending", "pending", "retrying", "retrying", "retrying", "failed"]
    assert (instance["dtFinished"], instance["dtDeleted"]) == ("2024-05-17T09:30:05.000Z", None)


def test_more_than_can_be_simulated(call: Caller, clock: Clock) -> None:
    """A spec that cannot be put to work says why and is not applied; what ran before goes on."""
    id_ = call.create(spec=spec(1))
    clock.forward(minutes=1)
    call.update(id_, spec=spec(101))
    deployment = life(call, id_)
    refused = deployment["deploymentSpecs"]["nodes"][0]
    assert refused["externalApplied"] is None
    assert refused["error"] == "Simulated: 101 replicas are too many; the limit is 100."
    assert len(deployment["deploymentRollouts"]["nodes"]) == 1
    assert runs(call, id_)[0]["readyReplicas"] == 1


def autoscaled(call: Caller, least: int, most: int, **more: Any) -> str:
    autoscaling = {"maxReplicas": most, "metrics": [{"metric": "cpu", "value": 80}], **more}
    return call.create("scaled", spec={"image": "i", "resources": {"replicas": least, "autoscaling": autoscaling}})


@pytest.mark.parametrize(
    ("load", "more", "expected"),
    [(0, {}, 2), (3, {}, 3), (50, {}, 4), (50, {"enabled": False}, 2), (50, {"enabled": None}, 4)],
)
def test_autoscaling_keeps_its_bounds(caller: type[Caller], clock: Clock, load: int, more: Json, expected: int) -> None:
    """However the load, there are as many replicas as it calls for between the two bounds."""
    simulation = Simulation()
    simulation.loads["scaled"] = load
    with LocalServer(now=clock, runtime=simulation) as server:
        call = caller(server)
        id_ = autoscaled(call, 2, 4, **more)
        clock.forward(minutes=1)
        assert runs(call, id_)[0]["readyReplicas"] == expected


def test_time_goes_on_while_the_server_is_down(tmp_path: Path, clock: Clock, caller: type[Caller]) -> None:
    """A server that was killed at any time goes on, when it is started again, as if it had been there all the time."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file, now=clock) as server:
        id_ = caller(server).create(spec=spec(2))
    clock.forward(seconds=2)
    with LocalServer(database=file, now=clock) as server:
        assert states(runs(caller(server), id_)[0]) == ["healthy", "pending"]
        before = life(caller(server), id_)
    with LocalServer(database=file, now=clock) as server:
        assert life(caller(server), id_) == before


def test_the_runtime_is_a_small_interface(caller: type[Caller], clock: Clock) -> None:
    """Another runtime needs two methods; what it says is what the API tells."""

    class Instant:
        simulated = False

        def replicas(self, desired: Any) -> int:
            return len(desired.name)

        def events(self, desired: Any, instances: Any, now: Any) -> Any:
            for instance in instances:
                if desired is None:
                    yield InstanceRemoved(instance.id, now)
                else:
                    yield StateChanged(instance.id, now, "Running", "healthy", "up")
                    yield LineLogged(instance.id, now, "hello")

    with LocalServer(runtime=Instant(), now=clock) as server:
        call = caller(server)
        id_ = call.create("four")
        assert states(runs(call, id_)[0]) == ["healthy"] * 4
        assert call.http("GET", f"/endpoints/{id_}").body["simulated"] is False


def test_the_endpoint(call: Caller, clock: Clock) -> None:
    """The endpoint says who responses: 503 before anything is ready, 404 once deleted; which spec, and how many."""
    id_ = call.create("mine", spec=spec(2))
    query = "query ($id: UUID!) { deployment(id: $id) { deploymentSpecs { nodes { id endpointUrl } } } }"
    (made,) = call(query, id=id_).data["deployment"]["deploymentSpecs"]["nodes"]
    path = made["endpointUrl"].removeprefix(call.server.url.removesuffix("/graphql"))
    waiting = call.http("GET", path)
    assert (waiting.status, waiting.headers["Retry-After"]) == (503, "1")
    clock.forward(seconds=2)
    for method, place in (("GET", path), ("POST", f"{path}/v1/models/mnist:predict"), ("GET", f"{path}?a=b")):
        response = call.http(method, place, b"{}" if method == "POST" else None)
        assert response.status == 200
        assert response.body == {
            "deployment": {"id": id_, "name": "mine"},
            "spec": {"id": made["id"]},
            "simulated": True,
            "readyReplicas": 1,
        }
    call.update(id_, spec=spec(1))
    assert call.http("GET", path).body["spec"]["id"] == made["id"]
    clock.forward(minutes=1)
    assert call.http("GET", path).body["spec"]["id"] != made["id"]
    call.delete(id_)
    for gone in (path, "/endpoints/00000000-0000-0000-0000-000000000000", "/endpoints/x", "/endpoints/"):
        assert call.http("GET", gone).status == 404


def test_a_scenario_of_the_simulation_takes_precedence(caller: type[Caller], clock: Clock) -> None:
    """What is set on the simulation for a name outweighs the variable of its spec."""
    simulation = Simulation()
    simulation.scenarios["demo"] = Scenario.HEALTHY
    with LocalServer(now=clock, runtime=simulation) as server:
        id_ = caller(server).create(spec=scenario_spec("fail"))
        clock.forward(minutes=1)
        assert states(runs(caller(server), id_)[0]) == ["healthy"]
