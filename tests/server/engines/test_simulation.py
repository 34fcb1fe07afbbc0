"""Simulated deployments, with a clock that the tests move."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from tests.server.conftest import backend_of

from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.clock import iso
from paperspace.gradient.server.engines.runtime import InstanceRemoved, LineLogged, StateChanged
from paperspace.gradient.server.engines.simulation import Scenario, Simulation
from paperspace.gradient.server.storage.identity import use_engine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.raw_client import Caller, Json
    from tests.server.conftest import Clock


OBSERVED_STATE = """
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


def observed_state(call: Caller, id_: str) -> Any:
    return call(OBSERVED_STATE, id=id_).data["deployment"]


def runs(call: Caller, id_: str) -> Any:
    """Return the runs of a deployment, newest first."""
    return [
        run
        for rollout in observed_state(call, id_)["deploymentRollouts"]["nodes"]
        for run in rollout["deploymentRuns"]["nodes"]
    ]


def instances(run: Any) -> Any:
    return run["deploymentRunInstances"]["nodes"]


def states(run: Any) -> list[str]:
    return [instance["state"] for instance in instances(run)]


def spec(replicas: int, **more: Any) -> Json:
    return {"image": "tensorflow/serving", "resources": {"replicas": replicas}, **more}


def scenario_spec(scenario: str, replicas: int = 1) -> Json:
    return spec(replicas, env=[{"name": "GRADIENT_SIMULATE", "value": scenario}])


def test_run_and_instances_exist_when_the_mutation_returns(call: Caller) -> None:
    """When the mutation returns, the spec is applied, and its rollout, run and pending instances exist."""
    id_ = call.create(spec=spec(3))
    now = "2024-05-17T09:30:00.000Z"
    deployment = observed_state(call, id_)
    (node,) = deployment["deploymentSpecs"]["nodes"]
    assert (node["externalApplied"], node["error"], node["dtInvalid"]) == (now, None, None)
    (rollout,) = deployment["deploymentRollouts"]["nodes"]
    assert rollout["deployment"] == {"id": id_}
    (run,) = rollout["deploymentRuns"]["nodes"]
    assert node["deploymentRuns"]["nodes"] == [{"id": run["id"]}]
    assert (run["replicas"], run["readyReplicas"], run["availableReplicas"], run["dtDeleted"]) == (3, 0, 0, None)
    assert states(run) == ["pending"] * 3
    for instance in instances(run):
        assert (instance["phase"], instance["dtStarted"], instance["externalApplied"]) == ("Pending", None, now)
        assert "Simulated" in instance["stateMessage"]


def test_instances_become_healthy_one_by_one(call: Caller, clock: Clock) -> None:
    """The instances become healthy one after another; their history and logs have the times."""
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
    log = observed_state(call, id_)["logs"]["nodes"][2]
    assert (log["instanceName"], log["instanceStarted"]) == (last["instanceId"], last["dtStarted"])
    lines = log["lines"]["nodes"]
    assert [line["line"] for line in lines] == [1, 2, 3]
    assert all(line["message"].startswith("[simulated] ") for line in lines)


@pytest.mark.parametrize(("before", "after"), [(3, 3), (2, 5), (5, 2), (1, 1)])
def test_ready_instances_during_a_rollout(call: Caller, clock: Clock, before: int, after: int) -> None:
    """During a rollout, the number of ready instances never falls below the smaller replica count."""
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


def test_a_third_spec_during_a_rollout(call: Caller, clock: Clock) -> None:
    """A spec during a rollout removes instances that are not ready, and later those that serve."""
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
def test_zero_replicas(call: Caller, clock: Clock, nothing: Json) -> None:
    """With zero replicas, or disabled, all instances are removed, and no new run is created."""
    id_ = call.create(spec=spec(2))
    clock.forward(minutes=1)
    call.update(id_, spec=nothing)
    assert runs(call, id_)[0]["dtDeleted"] is None
    clock.forward(seconds=1)
    deployment = observed_state(call, id_)
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
    """The variable of a spec selects the scenario; earlier instances serve until they are replaced."""
    id_ = call.create(spec=spec(1))
    clock.forward(minutes=1)
    call.update(id_, spec=scenario_spec(scenario))
    clock.forward(minutes=10)
    new, old = runs(call, id_)
    assert (states(new), instances(new)[0]["phase"]) == ([last], phase)
    assert (new["readyReplicas"], old["readyReplicas"]) == ((1, 0) if last == "healthy" else (0, 1))


def test_a_crash_loop(call: Caller, clock: Clock) -> None:
    """A crashing container is restarted a few times, then it is failed."""
    id_ = call.create(spec=scenario_spec("crash-loop"))
    clock.forward(seconds=2)
    assert states(runs(call, id_)[0]) == ["retrying"]
    clock.forward(minutes=1)
    (instance,) = instances(runs(call, id_)[0])
    history = [state["state"] for state in instance["history"]["nodes"]]
    assert history == ["pending", "pending", "retrying", "retrying", "retrying", "failed"]
    assert (instance["dtFinished"], instance["dtDeleted"]) == ("2024-05-17T09:30:05.000Z", None)


def test_too_many_replicas(call: Caller, clock: Clock) -> None:
    """An unsupported spec gets an error and is not applied; the previous instances still run."""
    id_ = call.create(spec=spec(1))
    clock.forward(minutes=1)
    call.update(id_, spec=spec(101))
    deployment = observed_state(call, id_)
    rejected = deployment["deploymentSpecs"]["nodes"][0]
    assert rejected["externalApplied"] is None
    assert rejected["error"] == "Simulated: 101 replicas are too many; the limit is 100."
    assert len(deployment["deploymentRollouts"]["nodes"]) == 1
    assert runs(call, id_)[0]["readyReplicas"] == 1


def autoscaled(call: Caller, least: int, most: int, **more: Any) -> str:
    autoscaling = {"maxReplicas": most, "metrics": [{"metric": "cpu", "value": 80}], **more}
    return call.create("scaled", spec={"image": "i", "resources": {"replicas": least, "autoscaling": autoscaling}})


@pytest.mark.parametrize(
    ("load", "more", "expected"),
    [
        (0, {}, 2),
        (240, {}, 3),
        (4000, {}, 4),
        (4000, {"enabled": False}, 2),
        (4000, {"enabled": None}, 4),
        (4000, {"metrics": []}, 2),
        (4000, {"metrics": [{"metric": "memory", "value": 80}]}, 2),
    ],
)
def test_autoscaling_limits(caller: type[Caller], clock: Clock, load: float, more: Json, expected: int) -> None:
    """The number of replicas follows the load, between the limits of autoscaling."""
    simulation = Simulation()
    simulation.loads["scaled"] = {"cpu": load}
    with LocalServer(now=clock, runtime=simulation) as server:
        call = caller(server)
        id_ = autoscaled(call, 2, 4, **more)
        clock.forward(minutes=1)
        assert runs(call, id_)[0]["readyReplicas"] == expected


def scaled(call: Caller, id_: str) -> tuple[int, int, int]:
    """Return how many replicas of the newest run there should be, are ready, and exist."""
    run = runs(call, id_)[0]
    existing = [instance for instance in instances(run) if instance["dtDeleted"] is None]
    return run["replicas"], run["readyReplicas"], len(existing)


EVENTS = "query ($id: UUID!) { deployment(id: $id) { events { nodes { reason message count severity } } } }"


def scalings(call: Caller, id_: str) -> list[tuple[str, str, int]]:
    """Return the events of autoscaling, newest first."""
    nodes = call(EVENTS, id=id_).data["deployment"]["events"]["nodes"]
    return [(node["reason"], node["message"], node["count"]) for node in nodes if "Scaled" in node["reason"]]


def test_autoscaling_over_time(caller: type[Caller], clock: Clock) -> None:
    """Each decision comes 15 seconds after the replicas are ready. Those of the last one go after five minutes without load."""
    simulation = Simulation()
    with LocalServer(now=clock, runtime=simulation) as server:
        call = caller(server)
        id_ = autoscaled(call, 1, 20)
        clock.forward(seconds=60)
        simulation.loads["scaled"] = {"cpu": 560}
        server.reconcile("scaled")
        story = []
        for seconds in (0, 14.9, 0.1, 2, 2, 14.4, 0.1, 2.5):
            clock.forward(seconds=seconds)
            story.append(scaled(call, id_))
        assert story == [(1, 1, 1), (1, 1, 1), (5, 1, 5), (5, 2, 5), (5, 5, 5), (5, 5, 5), (7, 5, 7), (7, 7, 7)]
        clock.forward(hours=1)
        assert scaled(call, id_) == (7, 7, 7)
        up = ("ScaledUp", "cpu is 112 % (target: 80 %): 7 replicas instead of 5.", 2)
        assert scalings(call, id_) == [up]
        simulation.loads["scaled"] = {"cpu": 100}
        server.reconcile("scaled")
        clock.forward(minutes=5, seconds=14)
        assert scaled(call, id_) == (7, 7, 7)
        clock.forward(seconds=1)
        assert scaled(call, id_) == (2, 2, 2)
        reason = "cpu is 14.3 % (target: 80 %), and in the last 5 minutes no metric needed more replicas"
        assert scalings(call, id_) == [("ScaledDown", f"{reason}: 2 replicas instead of 7.", 1), up]


def test_what_autoscaling_would_have_done(tmp_path: Path, caller: type[Caller], clock: Clock) -> None:
    """What autoscaling has not done yet is discarded when the load or the spec changes, without a trace."""
    simulation = Simulation()
    simulation.loads["scaled"] = {"cpu": 4000}
    with LocalServer(database=tmp_path / "gradient.db", now=clock, runtime=simulation) as server:
        call = caller(server)
        id_ = autoscaled(call, 1, 20)
        clock.forward(seconds=10)
        simulation.loads["scaled"] = {"cpu": 80}
        server.reconcile("scaled")
        clock.forward(hours=1)
        assert scaled(call, id_) == (1, 1, 1)
        assert len(instances(runs(call, id_)[0])) == 1
        assert scalings(call, id_) == []
        simulation.loads["scaled"] = {"cpu": 160}
        server.reconcile("scaled")
        call.update(id_, spec=spec(1))
        clock.forward(hours=1)
        assert scaled(call, id_) == (1, 1, 1)
        call.delete(id_)
    with closing(backend_of(server)) as backend, backend.database.reading():
        assert backend.database.rows("SELECT * FROM scales") == []
        assert backend.database.rows("SELECT * FROM instances WHERE dt_created > now()") == []


def test_another_engine_does_not_get_the_future(tmp_path: Path, caller: type[Caller], clock: Clock) -> None:
    """If a database is used with another engine, nothing is left of what autoscaling would have done."""
    simulation = Simulation()
    simulation.loads["scaled"] = {"cpu": 4000}
    with LocalServer(database=tmp_path / "gradient.db", now=clock, runtime=simulation) as server:
        autoscaled(caller(server), 1, 20)
    with closing(backend_of(server)) as backend, backend.database.writing():
        use_engine(backend.database, "another")
        assert backend.database.rows("SELECT * FROM scales") == []
        assert [row["dtDeleted"] for row in backend.database.rows("SELECT * FROM instances")] == [
            iso(backend.database.transaction_time)
        ]


def test_a_new_revision_keeps_the_scale(caller: type[Caller], clock: Clock) -> None:
    """A new revision starts with as many replicas as before, within its limits; after a stop, with the fewest."""
    simulation = Simulation()
    simulation.loads["scaled"] = {"cpu": 480}
    with LocalServer(now=clock, runtime=simulation) as server:
        call = caller(server)
        id_ = autoscaled(call, 1, 20)
        clock.forward(minutes=1)
        assert scaled(call, id_) == (6, 6, 6)

        def update(least: int, most: int, **more: Any) -> tuple[int, int, int]:
            autoscaling = {"maxReplicas": most, "metrics": [{"metric": "cpu", "value": 80}]}
            call.update(id_, spec={"image": "i", "resources": {"replicas": least, "autoscaling": autoscaling}, **more})
            return scaled(call, id_)

        assert update(1, 30) == (6, 0, 6)
        clock.forward(seconds=10)
        assert update(1, 4) == (4, 0, 4)
        clock.forward(seconds=10)
        assert update(5, 9) == (5, 0, 5)
        clock.forward(seconds=10)
        update(5, 9, enabled=False)
        clock.forward(seconds=10)
        assert update(2, 9) == (2, 0, 2)


def test_autoscaling_after_a_restart(tmp_path: Path, caller: type[Caller], clock: Clock) -> None:
    """A restart of the server changes nothing; without its load, replicas are removed five minutes after the next change."""
    file, simulation = tmp_path / "gradient.db", Simulation()
    simulation.loads["scaled"] = {"cpu": 800}
    with LocalServer(database=file, now=clock, runtime=simulation) as server:
        id_ = autoscaled(caller(server), 1, 20)
        clock.forward(seconds=20)
    with LocalServer(database=file, now=clock) as server:
        call = caller(server)
        assert scaled(call, id_)[0] == 5
        clock.forward(hours=1)
        assert scaled(call, id_) == (10, 10, 10)
        server.reconcile("scaled")
        clock.forward(minutes=5)
        assert scaled(call, id_) == (10, 10, 10)
        clock.forward(minutes=1)
        assert scaled(call, id_) == (1, 1, 1)


@pytest.mark.parametrize("scenario", ["fail", "crash-loop", "pending"])
def test_autoscaling_needs_ready_replicas(caller: type[Caller], clock: Clock, scenario: str) -> None:
    """While no replica is ready, autoscaling decides nothing."""
    simulation = Simulation()
    simulation.loads["scaled"] = {"cpu": 4000}
    simulation.scenarios["scaled"] = {None: Scenario(scenario)}
    with LocalServer(now=clock, runtime=simulation) as server:
        call = caller(server)
        id_ = autoscaled(call, 2, 20)
        clock.forward(hours=1)
        assert scaled(call, id_)[::2] == (2, 2)
        assert scalings(call, id_) == []


def test_autoscaling_stays_within_the_limit_of_the_simulation(caller: type[Caller], clock: Clock) -> None:
    """However high the load is, no more replicas are simulated than the simulation can."""
    simulation = Simulation()
    simulation.loads["scaled"] = {"cpu": 1e300}
    with LocalServer(now=clock, runtime=simulation) as server:
        call = caller(server)
        id_ = autoscaled(call, 1, 2**31 - 1)
        clock.forward(hours=1)
        assert scaled(call, id_) == (100, 100, 100)


def test_simulation_continues_while_the_server_is_down(tmp_path: Path, clock: Clock, caller: type[Caller]) -> None:
    """After a restart, the simulation has continued as if the server had never stopped."""
    file = tmp_path / "gradient.db"
    with LocalServer(database=file, now=clock) as server:
        id_ = caller(server).create(spec=spec(2))
    clock.forward(seconds=2)
    with LocalServer(database=file, now=clock) as server:
        assert states(runs(caller(server), id_)[0]) == ["healthy", "pending"]
        before = observed_state(caller(server), id_)
    with LocalServer(database=file, now=clock) as server:
        assert observed_state(caller(server), id_) == before


def test_another_runtime(caller: type[Caller], clock: Clock) -> None:
    """Another runtime needs three methods; the API returns what its events say."""

    class Instant:
        simulated = False

        def replicas(self, desired: Any) -> int:
            return len(desired.name)

        def initial_instances(self, replicas: int) -> int:
            return replicas

        def run(self, desired: Any, instances: Any, now: Any) -> Any:
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
    """The endpoint responds 503 until an instance is ready, then with spec and replicas; 404 once deleted."""
    id_ = call.create("mine", spec=spec(2))
    query = "query ($id: UUID!) { deployment(id: $id) { deploymentSpecs { nodes { id endpointUrl } } } }"
    (node,) = call(query, id=id_).data["deployment"]["deploymentSpecs"]["nodes"]
    path = node["endpointUrl"].removeprefix(call.server.url.removesuffix("/graphql"))
    waiting = call.http("GET", path)
    assert (waiting.status, waiting.headers["Retry-After"]) == (503, "1")
    clock.forward(seconds=2)
    for method, place in (("GET", path), ("POST", f"{path}/v1/models/mnist:predict"), ("GET", f"{path}?a=b")):
        response = call.http(method, place, b"{}" if method == "POST" else None)
        assert response.status == 200
        assert response.body == {
            "deployment": {"id": id_, "name": "mine"},
            "spec": {"id": node["id"]},
            "simulated": True,
            "readyReplicas": 1,
        }
    call.update(id_, spec=spec(1))
    assert call.http("GET", path).body["spec"]["id"] == node["id"]
    clock.forward(minutes=1)
    assert call.http("GET", path).body["spec"]["id"] != node["id"]
    call.delete(id_)
    for gone in (path, "/endpoints/00000000-0000-0000-0000-000000000000", "/endpoints/x", "/endpoints/"):
        assert call.http("GET", gone).status == 404


def test_a_scenario_of_the_simulation_takes_precedence(caller: type[Caller], clock: Clock) -> None:
    """A scenario set on the simulation takes precedence over the variable of the spec."""
    simulation = Simulation()
    simulation.scenarios["demo"] = {None: Scenario.HEALTHY}
    with LocalServer(now=clock, runtime=simulation) as server:
        id_ = caller(server).create(spec=scenario_spec("fail"))
        clock.forward(minutes=1)
        assert states(runs(caller(server), id_)[0]) == ["healthy"]
