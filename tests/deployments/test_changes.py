"""Functions that bring a deployment to a state do that, and nothing else."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.altering_proxy import altered
from tests.samples import SPEC, spec

from paperspace.gradient import (
    AsyncClient,
    Client,
    ConflictError,
    InvalidArgumentError,
    InvalidSpecError,
    NotFoundError,
)
from paperspace.gradient._spec.diff import difference
from paperspace.gradient.server import LocalServer
from paperspace.gradient.types import DeploymentSpecInput, SpecDifference

UNKNOWN_ID = "00000000-0000-0000-0000-0000000000ff"

FULL: DeploymentSpecInput = {
    "image": "tensorflow/serving",
    "port": 8501,
    "command": ["serve", "--fast"],
    "containerRegistry": "registry",
    "enabled": True,
    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    "models": [{"id": "m1", "path": "/models/m1"}],
    "protocol": "http2",
    "repositories": {
        "mountPath": "/code",
        "repositories": [{"name": "code", "url": "https://git.example/code", "username": "me", "password": "hunter2"}],
    },
    "resources": {
        "instanceType": "A100",
        "replicas": 2,
        "autoscaling": {"maxReplicas": 5, "metrics": [{"metric": "cpu", "summary": "average", "value": 80.0}]},
    },
}

NOTHING: SpecDifference = {"changes": [], "text": ""}


def full(**changes: Any) -> Any:
    """The full spec, with changes."""
    return {**FULL, **changes}


class TestDifference:
    """Two specs are compared by what they mean."""

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({}, {"port": None, "env": None, "command": [], "models": []}),
            ({}, {"port": 80, "enabled": True, "protocol": "http"}),
            ({}, {"resources": None}),
            ({"resources": {}}, {"resources": {"replicas": 1, "instanceType": None}}),
            (
                {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
                {"env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]},
            ),
            (
                {"resources": {"autoscaling": {"maxReplicas": 2, "metrics": [{"metric": "cpu", "value": 1}]}}},
                {
                    "resources": {
                        "autoscaling": {
                            "enabled": True,
                            "maxReplicas": 2,
                            "metrics": [{"metric": "cpu", "summary": "average", "value": 1.0}],
                        }
                    }
                },
            ),
        ],
    )
    def test_same_meaning(self, one: dict[str, Any], other: dict[str, Any]) -> None:
        """Nulls, defaults and the order of environment variables make no difference, either way round."""
        one, other = {"image": "nginx", **one}, {"image": "nginx", **other}
        assert difference(one, other) == difference(other, one) == NOTHING

    def test_every_place(self) -> None:
        """Each place that differs is named, with what was said before and afterwards."""
        changed = full(
            image="nginx",
            command=["serve"],
            env=[{"name": "B", "value": "3"}, {"name": "C", "value": "4"}],
            resources={"replicas": 2},
        )
        assert difference(FULL, changed)["text"].splitlines() == [
            "~ command: ['serve', '--fast'] -> ['serve']",
            "- env.A: '1'",
            "~ env.B: '2' -> '3'",
            "~ image: 'tensorflow/serving' -> 'nginx'",
            "- resources.autoscaling.enabled: True",
            "- resources.autoscaling.maxReplicas: 5",
            "- resources.autoscaling.metrics[0].metric: 'cpu'",
            "- resources.autoscaling.metrics[0].summary: 'average'",
            "- resources.autoscaling.metrics[0].value: 80.0",
            "- resources.instanceType: 'A100'",
            "+ env.C: '4'",
        ]

    def test_password(self) -> None:
        """That a password changed is said, but not what it is."""
        repository = {"name": "code", "url": "https://git.example/code", "username": "me", "password": "hunter3"}
        changed = full(repositories={"mountPath": "/code", "repositories": [repository]})
        found = difference(FULL, changed)
        assert found["text"] == "~ repositories.repositories.code.password: '(hidden)' -> '(hidden)'"
        assert "hunter" not in json.dumps(found)

    def test_password_in_a_url(self) -> None:
        """What stands before the host of a repository's URL is hidden, be it a password or a token."""
        repository = {
            "name": "code",
            "url": "https://me:hunter3@git.example/code",
            "username": "me",
            "password": "hunter2",
        }
        changed = full(repositories={"mountPath": "/code", "repositories": [repository]})
        [change] = difference(FULL, changed)["changes"]
        assert change["after"] == "https://(hidden)@git.example/code"

    def test_variable_named_password(self) -> None:
        """A variable is one like the others, whatever it is called."""
        changed = full(env=[*(FULL["env"] or []), {"name": "password", "value": "1"}])
        assert difference(FULL, changed)["text"] == "+ env.password: '1'"

    def test_two_variables_of_one_name(self) -> None:
        """A name that is there twice is not lost."""
        twice = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
        assert difference(full(env=twice[:1]), full(env=twice))["changes"] != []


class TestApply:
    """`apply_deployment` does what is needed, once."""

    def test_creates_updates_and_rests(self, client: Client, wire: list[dict[str, Any]]) -> None:
        """The first time it creates, with a change it updates, and the same again sends no mutation."""
        apply = client.deployments.apply_deployment
        created = apply("n", "p", SPEC)
        assert created["action"] == "created"
        assert "+ image: 'tensorflow/serving'" in created["difference"]["text"]
        assert apply("n", "p", spec(replicas=3)) == {
            "id": created["id"],
            "action": "updated",
            "difference": {
                "changes": [{"path": "resources.replicas", "before": 1, "after": 3}],
                "text": "~ resources.replicas: 1 -> 3",
            },
        }
        wire.clear()
        assert apply("n", "p", spec(replicas=3))["action"] == "unchanged"
        assert [request["operationName"] for request in wire] == ["DeploymentsCurrent"]

    def test_dry_run(self, client: Client) -> None:
        """A dry run says what would be done, and does nothing."""
        assert client.deployments.apply_deployment("n", "p", SPEC, dry_run=True)["action"] == "created"
        assert client.deployments.list_deployments() == []
        client.deployments.create_deployment("n", "p", SPEC)
        planned = client.deployments.apply_deployment("n", "p", spec(port=2), dry_run=True)
        assert (planned["action"], planned["difference"]["text"]) == ("updated", "~ port: 8501 -> 2")
        assert client.deployments.diff_deployment("n", "p", spec(port=2)) == planned["difference"]
        assert client.deployments.diff_deployment("n", "p", SPEC) == NOTHING

    def test_what_reads_back_is_what_was_applied(self, client: Client) -> None:
        """Every field of a spec survives: applied again, nothing differs."""
        client.deployments.apply_deployment("n", "p", FULL)
        assert client.deployments.diff_deployment("n", "p", FULL)["text"] == ""

    def test_cluster(self, client: Client) -> None:
        """Another cluster is a change; no cluster is wherever it is."""
        client.deployments.apply_deployment("n", "p", SPEC, "cl-1")
        assert client.deployments.apply_deployment("n", "p", SPEC)["action"] == "unchanged"
        moved = client.deployments.apply_deployment("n", "p", SPEC, "cl-2")
        assert moved["difference"]["text"] == "~ cluster: 'cl-1' -> 'cl-2'"

    def test_cluster_in_the_history(self, client: Client) -> None:
        """A move to another cluster is told in the history too, and what is new names its cluster."""
        planned = client.deployments.apply_deployment("n", "p", SPEC, "cl-1", dry_run=True)
        assert "+ cluster: 'cl-1'" in planned["difference"]["text"].splitlines()
        created = client.deployments.create_deployment("n", "p", SPEC, "cl-1")
        client.deployments.update_deployment(id=created["id"], cluster_id="cl-2")
        newest, _ = client.deployments.get_deployment_history(created["id"])
        assert newest["difference"]["text"] == "~ cluster: 'cl-1' -> 'cl-2'"

    def test_other_project(self, client: Client) -> None:
        """The same name in another project is another deployment."""
        one = client.deployments.apply_deployment("n", "p", SPEC)
        other = client.deployments.apply_deployment("n", "q", SPEC)
        assert (one["action"], other["action"]) == ("created", "created")

    def test_threads_at_once(self, client: Client) -> None:
        """16 at once end up with one deployment, and one spec, where they all want the same."""
        with ThreadPoolExecutor(16) as pool:
            applied = list(pool.map(lambda _: client.deployments.apply_deployment("n", "p", SPEC), range(16)))
        assert len({entry["id"] for entry in applied}) == 1
        [deployment] = client.deployments.list_deployments()
        assert len(deployment["deploymentSpecs"]["nodes"]) == 1

    def test_processes_at_once(self, client: Client, environment: dict[str, str]) -> None:
        """8 processes at once, each with a spec of its own: one deployment, and every spec in its history."""
        code = "import sys; from paperspace.gradient import deployments\n"
        code += 'deployments.apply_deployment("n", "p", {"image": "nginx", "port": int(sys.argv[1])})'
        children = [subprocess.Popen([sys.executable, "-c", code, str(port)], env=environment) for port in range(1, 9)]
        assert [child.wait(30) for child in children] == [0] * 8
        [deployment] = client.deployments.list_deployments()
        assert {node["data"]["port"] for node in deployment["deploymentSpecs"]["nodes"]} == set(range(1, 9))

    @pytest.mark.anyio
    async def test_spec_that_is_changed_meanwhile(self, server: LocalServer) -> None:
        """What is applied is the spec as it was given and checked, whatever its owner does with it afterwards."""
        given: Any = {**SPEC}
        async with AsyncClient(server.api_key, server.url) as client:
            applying = asyncio.ensure_future(client.deployments.apply_deployment("n", "p", given))
            await asyncio.sleep(0)
            given["prot"] = 1
            await applying
            assert await client.deployments.diff_deployment("n", "p", SPEC) == NOTHING

    def test_wrong_spec(self, client: Client, wire: list[dict[str, Any]]) -> None:
        """A spec that cannot be right is refused before anything is sent."""
        with pytest.raises(InvalidSpecError):
            client.deployments.apply_deployment("n", "p", {"image": ""})
        assert wire == []


class TestRevise:
    """Scaling, stopping, starting and rolling back change that, and nothing else."""

    @pytest.fixture
    def id(self, client: Client) -> str:
        """A deployment with everything that a spec can say."""
        return client.deployments.create_deployment("n", "p", FULL, "cl-1")["id"]

    def test_scale(self, client: Client, id: str) -> None:
        """Only the number of replicas changes, secrets and cluster included."""
        assert client.deployments.scale_deployment(id, 4) == {"id": id}
        newest, first = client.deployments.get_deployment_history(id)
        assert newest["difference"]["text"] == "~ resources.replicas: 2 -> 4"
        assert newest["cluster"] == {"id": "cl-1"}
        assert newest["data"]["repositories"] == first["data"]["repositories"]
        assert client.deployments.diff_deployment("n", "p", FULL)["text"] == "~ resources.replicas: 4 -> 2"

    def test_scale_to_what_it_is(self, client: Client, id: str, wire: list[dict[str, Any]]) -> None:
        """Scaling to what it is already sends no mutation."""
        client.deployments.scale_deployment(id, 2)
        assert [request["operationName"] for request in wire] == ["DeploymentHistory"]

    def test_stop_and_start(self, client: Client, id: str) -> None:
        """Stopped and started, it is as before; doing either twice changes nothing."""
        for _ in range(2):
            client.deployments.stop_deployment(id)
        for _ in range(2):
            client.deployments.start_deployment(id)
        started, stopped, _ = client.deployments.get_deployment_history(id)
        assert stopped["difference"]["text"] == "~ enabled: True -> False"
        assert started["difference"]["text"] == "~ enabled: False -> True"
        assert client.deployments.diff_deployment("n", "p", FULL)["text"] == ""

    def test_start_of_no_replicas(self, client: Client, id: str) -> None:
        """What has 0 replicas cannot be started, and the way out is named."""
        client.deployments.scale_deployment(id, 0)
        with pytest.raises(InvalidArgumentError, match="scale it first"):
            client.deployments.start_deployment(id)

    def test_rollback(self, client: Client, id: str) -> None:
        """An earlier spec is in force again, as a new one, on its cluster."""
        client.deployments.update_deployment("n", "p", SPEC, "cl-2")
        *_, first = client.deployments.get_deployment_history(id)
        assert client.deployments.rollback_deployment(id, to=first["id"]) == {"id": id}
        newest, *_ = client.deployments.get_deployment_history(id)
        assert (newest["data"], newest["cluster"]) == (first["data"], {"id": "cl-1"})
        assert newest["id"] != first["id"]

    def test_rollback_to_what_it_is(self, client: Client, id: str, wire: list[dict[str, Any]]) -> None:
        """Rolling back to the newest spec, or to one that means the same on the same cluster, sends no mutation."""
        [first] = client.deployments.get_deployment_history(id)
        client.deployments.update_deployment(id=id, spec=full(env=[*reversed(FULL.get("env") or [])]))
        newest, _ = client.deployments.get_deployment_history(id)
        wire.clear()
        for revision in (newest, first):
            assert client.deployments.rollback_deployment(id, to=revision["id"]) == {"id": id}
        assert {request["operationName"] for request in wire} == {"DeploymentHistory"}
        client.deployments.update_deployment(id=id, cluster_id="cl-2")
        client.deployments.rollback_deployment(id, to=first["id"])
        assert [revision["cluster"] for revision in client.deployments.get_deployment_history(id)][:2] == [
            {"id": "cl-1"},
            {"id": "cl-2"},
        ]

    def test_ids_in_any_case(self) -> None:
        """An id is the same in capitals and in small letters, whichever side writes it so."""

        def shout(reply: dict[str, Any]) -> None:
            updated = reply["data"].get("updateDeployment")
            for node in updated["deployment"]["deploymentSpecs"]["nodes"] if updated else ():
                node["id"] = node["id"].upper()

        with LocalServer() as server, altered(server, response=shout) as url, Client(server.api_key, url) as client:
            own = client.deployments.create_deployment("n", "p", SPEC)["id"]
            [first] = client.deployments.get_deployment_history(own)
            client.deployments.scale_deployment(own.upper(), 2)
            client.deployments.rollback_deployment(own.upper(), to=first["id"].upper())
            assert client.deployments.diff_deployment("n", "p", SPEC) == NOTHING

    def test_rollback_to_what_is_not_there(self, client: Client, id: str) -> None:
        """A spec that the deployment does not have is NotFound, as is the deployment: the error says which."""
        with pytest.raises(NotFoundError, match=f"no spec {UNKNOWN_ID}") as caught:
            client.deployments.rollback_deployment(id, to=UNKNOWN_ID)
        assert caught.value.resource == "spec"
        with pytest.raises(NotFoundError) as caught:
            client.deployments.rollback_deployment(UNKNOWN_ID, to=UNKNOWN_ID)
        assert caught.value.resource == "deployment"

    def test_unknown_deployment(self, client: Client) -> None:
        """A deployment that is not there is NotFound, whatever is asked of it."""
        functions = client.deployments
        for call in (functions.stop_deployment, functions.start_deployment, functions.get_deployment_history):
            with pytest.raises(NotFoundError):
                call(UNKNOWN_ID)

    def test_write_in_between(self, server: LocalServer, client: Client, id: str) -> None:
        """A spec that somebody makes between our reading and our writing is noticed, and both are named."""

        def meddle(request: dict[str, Any]) -> None:
            if request["operationName"] == "DeploymentRevise":
                client.deployments.update_deployment(id=id, spec=SPEC)

        with (
            altered(server, request=meddle) as url,
            Client(server.api_key, url) as slow,
            pytest.raises(ConflictError) as caught,
        ):
            slow.deployments.scale_deployment(id, 4)
        _, between, read = client.deployments.get_deployment_history(id)
        assert between["id"] in str(caught.value)
        assert read["id"] in str(caught.value)

    def test_history(self, client: Client, id: str) -> None:
        """Each spec says who made it, when, and what it changed; the first says all that it says."""
        client.deployments.update_deployment("n", "p", full(port=1))
        newest, first = client.deployments.get_deployment_history(id)
        assert newest["actor"] == {"fullName": "First Last"}
        assert newest["dtCreated"] > first["dtCreated"]
        assert newest["difference"]["text"] == "~ port: 8501 -> 1"
        assert {change["before"] for change in first["difference"]["changes"]} == {None}

    def test_long_history(self, client: Client) -> None:
        """A history of more than a page is complete."""
        created = client.deployments.create_deployment("long", "p", spec(port=1))
        for port in range(2, 106):
            client.deployments.update_deployment(id=created["id"], spec=spec(port=port))
        ports = [revision["data"]["port"] for revision in client.deployments.get_deployment_history(created["id"])]
        assert ports == list(range(105, 0, -1))


@pytest.mark.anyio
async def test_async(aclient: AsyncClient) -> None:
    """The same functions are there to be awaited."""
    applied = await aclient.deployments.apply_deployment("n", "p", SPEC)
    assert applied["id"] is not None
    await aclient.deployments.scale_deployment(applied["id"], 2)
    newest, first = await aclient.deployments.get_deployment_history(applied["id"])
    await aclient.deployments.rollback_deployment(applied["id"], to=first["id"])
    assert (await aclient.deployments.diff_deployment("n", "p", SPEC))["text"] == ""
    assert newest["difference"]["text"] == "~ resources.replicas: 1 -> 2"
