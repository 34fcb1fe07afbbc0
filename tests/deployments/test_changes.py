"""Functions that change a deployment depending on its state make that change, and no other."""

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
    "endpointSecurity": {"protected": False, "secret": "web-password"},  # the server has no such secret
    "healthChecks": {"readiness": {"path": "/ready", "headers": [{"name": "X-Key", "value": "1"}]}},
}

NOTHING: SpecDifference = {"changes": [], "text": ""}


def full(**changes: Any) -> Any:
    """The full spec, with changes."""
    return {**FULL, **changes}


class TestDifference:
    """Two specs are compared by their meaning."""

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
                {"resources": {"autoscaling": {"enabled": False}}},
                {"resources": {"autoscaling": {"enabled": False, "maxReplicas": 1, "metrics": []}}},
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
            "- env.A: (hidden)",
            "~ env.B: (hidden), changed",
            "~ image: 'tensorflow/serving' -> 'nginx'",
            "- resources.autoscaling.enabled: True",
            "- resources.autoscaling.maxReplicas: 5",
            "- resources.autoscaling.metrics[0].metric: 'cpu'",
            "- resources.autoscaling.metrics[0].summary: 'average'",
            "- resources.autoscaling.metrics[0].value: 80.0",
            "- resources.instanceType: 'A100'",
            "+ env.C: (hidden)",
        ]

    def test_password(self) -> None:
        """That a password changed is said, but not what it is."""
        repository = {"name": "code", "url": "https://git.example/code", "username": "me", "password": "hunter3"}
        changed = full(repositories={"mountPath": "/code", "repositories": [repository]})
        found = difference(FULL, changed)
        assert found["text"] == "~ repositories.repositories.code.password: (hidden), changed"
        assert "hunter" not in json.dumps(found)

    def test_password_in_a_url(self) -> None:
        """User, password or token in the URL of a repository are hidden."""
        repository = {
            "name": "code",
            "url": "https://me:hunter3@git.example/code",
            "username": "me",
            "password": "hunter2",
        }
        changed = full(repositories={"mountPath": "/code", "repositories": [repository]})
        [change] = difference(FULL, changed)["changes"]
        assert change["after"] == "https://(hidden)@git.example/code"

    @pytest.mark.parametrize("name", ["TOKEN", "password", "A.name", "name", "env[0].name", "value"])
    def test_environment_variables(self, name: str) -> None:
        """Values of environment variables are hidden, whatever their names; `show_secrets` shows them."""
        changed = full(env=[*(FULL["env"] or []), {"name": name, "value": "hunter3"}])
        assert difference(FULL, changed) == {
            "changes": [{"path": f"env.{name}", "before": None, "after": "(hidden)"}],
            "text": f"+ env.{name}: (hidden)",
        }
        assert difference(FULL, changed, show_secrets=True)["text"] == f"+ env.{name}: 'hunter3'"

    def test_show_secrets(self) -> None:
        """`show_secrets` shows user names, but neither passwords nor credentials in URLs."""
        repository = {"name": "r", "url": "https://a:hunter3@h/r", "username": "bob", "password": "hunter4"}
        changed = full(repositories={"mountPath": "/code", "repositories": [repository]})
        text = difference({"image": "a"}, changed, show_secrets=True)["text"]
        assert "hunter" not in text
        assert "repositories.r.username: 'bob'" in text
        assert "bob" not in difference({"image": "a"}, changed)["text"]

    def test_two_variables_of_one_name(self) -> None:
        """A repeated name of an environment variable is a change."""
        twice = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
        assert difference(full(env=twice[:1]), full(env=twice))["changes"] != []


class TestApply:
    """`apply_deployment` creates, updates or does nothing, as needed."""

    def test_creates_updates_or_does_nothing(self, client: Client, wire: list[dict[str, Any]]) -> None:
        """The first call creates, a changed spec updates, and the same spec again sends no mutation."""
        apply = client.deployments.apply_deployment
        created = apply("n", "p", SPEC)
        assert created["action"] == "created"
        assert "+ image: 'tensorflow/serving'" in created["difference"]["text"]
        updated = apply("n", "p", spec(replicas=3))
        assert updated == {
            "id": created["id"],
            "specId": client.deployments.get_deployment_status(created["id"])["specId"],
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
        """A dry run returns what would be done, and changes nothing."""
        assert client.deployments.apply_deployment("n", "p", SPEC, dry_run=True)["action"] == "created"
        assert client.deployments.list_deployments() == []
        client.deployments.create_deployment("n", "p", SPEC)
        planned = client.deployments.apply_deployment("n", "p", spec(port=2), dry_run=True)
        assert (planned["action"], planned["difference"]["text"]) == ("updated", "~ port: 8501 -> 2")
        assert client.deployments.diff_deployment("n", "p", spec(port=2)) == planned["difference"]
        assert client.deployments.diff_deployment("n", "p", SPEC) == NOTHING

    def test_every_field_is_stored(self, client: Client) -> None:
        """After applying a spec with every field, nothing differs from it."""
        client.deployments.apply_deployment("n", "p", FULL)
        assert client.deployments.diff_deployment("n", "p", FULL)["text"] == ""

    def test_cluster(self, client: Client) -> None:
        """Another cluster is a change; no cluster means the current one."""
        client.deployments.apply_deployment("n", "p", SPEC, "cl-1")
        assert client.deployments.apply_deployment("n", "p", SPEC)["action"] == "unchanged"
        moved = client.deployments.apply_deployment("n", "p", SPEC, "cl-2")
        assert moved["difference"]["text"] == "~ cluster: 'cl-1' -> 'cl-2'"

    def test_cluster_in_the_history(self, client: Client) -> None:
        """Moving to another cluster is a change in the history; a new deployment has its cluster as a change."""
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
        """16 threads that apply the same spec at the same time end up with one deployment and one spec."""
        with ThreadPoolExecutor(16) as pool:
            applied = list(pool.map(lambda _: client.deployments.apply_deployment("n", "p", SPEC), range(16)))
        assert len({entry["id"] for entry in applied}) == 1
        [deployment] = client.deployments.list_deployments()
        assert len(deployment["deploymentSpecs"]["nodes"]) == 1

    def test_processes_at_once(self, client: Client, environment: dict[str, str]) -> None:
        """8 processes that apply different specs at the same time: one deployment, with every spec in its history."""
        code = "import sys; from paperspace.gradient import deployments\n"
        code += 'deployments.apply_deployment("n", "p", {"image": "nginx", "port": int(sys.argv[1])})'
        children = [subprocess.Popen([sys.executable, "-c", code, str(port)], env=environment) for port in range(1, 9)]
        assert [child.wait(120) for child in children] == [0] * 8
        [deployment] = client.deployments.list_deployments()
        assert {node["data"]["port"] for node in deployment["deploymentSpecs"]["nodes"]} == set(range(1, 9))

    @pytest.mark.anyio
    async def test_spec_that_is_changed_during_the_call(self, server: LocalServer) -> None:
        """The spec is applied as it was validated, even if the caller changes the dict during the call."""
        spec: Any = {**SPEC}
        async with AsyncClient(server.api_key, server.url) as client:
            applying = asyncio.ensure_future(client.deployments.apply_deployment("n", "p", spec))
            await asyncio.sleep(0)
            spec["prot"] = 1
            await applying
            assert await client.deployments.diff_deployment("n", "p", SPEC) == NOTHING

    def test_invalid_spec(self, client: Client, wire: list[dict[str, Any]]) -> None:
        """An invalid spec raises an error before anything is sent."""
        with pytest.raises(InvalidSpecError):
            client.deployments.apply_deployment("n", "p", {"image": ""})
        assert wire == []


class TestRevise:
    """Scale, stop, start and rollback change one thing, and nothing else."""

    @pytest.fixture
    def id(self, client: Client) -> str:
        """A deployment with every field of a spec."""
        return client.deployments.create_deployment("n", "p", FULL, "cl-1")["id"]

    def test_scale(self, client: Client, id: str) -> None:
        """Only the number of replicas changes; secrets and cluster stay the same."""
        assert client.deployments.scale_deployment(id, 4)["id"] == id
        newest, first = client.deployments.get_deployment_history(id)
        assert newest["difference"]["text"] == "~ resources.replicas: 2 -> 4"
        assert newest["cluster"] == {"id": "cl-1"}
        assert newest["data"]["repositories"] == first["data"]["repositories"]
        assert client.deployments.diff_deployment("n", "p", FULL)["text"] == "~ resources.replicas: 4 -> 2"

    def test_scale_to_the_same_number(self, client: Client, id: str, wire: list[dict[str, Any]]) -> None:
        """Scaling to the current number sends no mutation."""
        client.deployments.scale_deployment(id, 2)
        assert [request["operationName"] for request in wire] == ["DeploymentHistory"]

    def test_more_revisions_than_requested(self, server: LocalServer, client: Client, id: str) -> None:
        """A server that returns more revisions than requested does no harm: the newest one counts."""
        client.deployments.update_deployment(id=id, spec={"image": "newest"})

        def request_more(request: dict[str, Any]) -> None:
            if request["operationName"] == "DeploymentHistory":
                request["variables"]["first"] = 100

        with altered(server, request=request_more) as url, Client(server.api_key, url) as other:
            for change in (other.deployments.restart_deployment, other.deployments.stop_deployment):
                change(id)
                assert other.deployments.get_deployment_spec(id)["image"] == "newest"

    def test_stop_and_start(self, client: Client, id: str) -> None:
        """Stop and start restore the same spec; a second stop or start changes nothing."""
        for _ in range(2):
            client.deployments.stop_deployment(id)
        for _ in range(2):
            client.deployments.start_deployment(id)
        started, stopped, _ = client.deployments.get_deployment_history(id)
        assert stopped["difference"]["text"] == "~ enabled: True -> False"
        assert started["difference"]["text"] == "~ enabled: False -> True"
        assert client.deployments.diff_deployment("n", "p", FULL)["text"] == ""

    def test_start_of_no_replicas(self, client: Client, id: str) -> None:
        """Starting a deployment with 0 replicas raises an error that says what to do."""
        client.deployments.scale_deployment(id, 0)
        with pytest.raises(InvalidArgumentError, match="scale it first"):
            client.deployments.start_deployment(id)

    def test_rollback(self, client: Client, id: str) -> None:
        """A rollback adds a revision with the earlier spec and its cluster."""
        client.deployments.update_deployment("n", "p", SPEC, "cl-2")
        *_, first = client.deployments.get_deployment_history(id)
        assert client.deployments.rollback_deployment(id, to=first["id"])["id"] == id
        newest, *_ = client.deployments.get_deployment_history(id)
        assert (newest["data"], newest["cluster"]) == (first["data"], {"id": "cl-1"})
        assert newest["id"] != first["id"]

    def test_rollback_without_a_difference(self, client: Client, id: str, wire: list[dict[str, Any]]) -> None:
        """A rollback to a spec with the same meaning on the same cluster sends no mutation."""
        [first] = client.deployments.get_deployment_history(id)
        client.deployments.update_deployment(id=id, spec=full(env=[*reversed(FULL.get("env") or [])]))
        newest, _ = client.deployments.get_deployment_history(id)
        wire.clear()
        for revision in (newest, first):
            assert client.deployments.rollback_deployment(id, to=revision["id"])["id"] == id
        assert {request["operationName"] for request in wire} == {"DeploymentHistory"}
        client.deployments.update_deployment(id=id, cluster_id="cl-2")
        client.deployments.rollback_deployment(id, to=first["id"])
        assert [revision["cluster"] for revision in client.deployments.get_deployment_history(id)][:2] == [
            {"id": "cl-1"},
            {"id": "cl-2"},
        ]

    def test_ids_in_any_case(self) -> None:
        """Ids are compared without regard to case, in arguments and in responses."""

        def upper_ids(reply: dict[str, Any]) -> None:
            updated = reply["data"].get("updateDeployment")
            for node in updated["deployment"]["deploymentSpecs"]["nodes"] if updated else ():
                node["id"] = node["id"].upper()

        with LocalServer() as server, altered(server, response=upper_ids) as url, Client(server.api_key, url) as client:
            created_id = client.deployments.create_deployment("n", "p", SPEC)["id"]
            [first] = client.deployments.get_deployment_history(created_id)
            client.deployments.scale_deployment(created_id.upper(), 2)
            client.deployments.rollback_deployment(created_id.upper(), to=first["id"].upper())
            assert client.deployments.diff_deployment("n", "p", SPEC) == NOTHING

    def test_rollback_to_unknown(self, client: Client, id: str) -> None:
        """An unknown spec or deployment raises NotFoundError; `resource` says which."""
        with pytest.raises(NotFoundError, match=f"no spec {UNKNOWN_ID}") as caught:
            client.deployments.rollback_deployment(id, to=UNKNOWN_ID)
        assert caught.value.resource == "spec"
        with pytest.raises(NotFoundError) as caught:
            client.deployments.rollback_deployment(UNKNOWN_ID, to=UNKNOWN_ID)
        assert caught.value.resource == "deployment"

    def test_unknown_deployment(self, client: Client) -> None:
        """Every function raises NotFoundError for an unknown deployment."""
        functions = client.deployments
        for call in (functions.stop_deployment, functions.start_deployment, functions.get_deployment_history):
            with pytest.raises(NotFoundError):
                call(UNKNOWN_ID)

    def test_history(self, client: Client, id: str) -> None:
        """Each revision has its author, its time and its difference; for the first one, every field is new."""
        client.deployments.update_deployment("n", "p", full(port=1))
        newest, first = client.deployments.get_deployment_history(id)
        assert newest["actor"] == {"fullName": "First Last"}
        assert newest["dtCreated"] > first["dtCreated"]
        assert newest["difference"]["text"] == "~ port: 8501 -> 1"
        assert {change["before"] for change in first["difference"]["changes"]} == {None}

    def test_long_history(self, client: Client) -> None:
        """A history of more than one page is complete."""
        created = client.deployments.create_deployment("long", "p", spec(port=1))
        for port in range(2, 106):
            client.deployments.update_deployment(id=created["id"], spec=spec(port=port))
        ports = [revision["data"]["port"] for revision in client.deployments.get_deployment_history(created["id"])]
        assert ports == list(range(105, 0, -1))


@pytest.mark.anyio
async def test_async(aclient: AsyncClient) -> None:
    """The async versions do the same."""
    applied = await aclient.deployments.apply_deployment("n", "p", SPEC)
    await aclient.deployments.scale_deployment(applied["id"], 2)
    newest, first = await aclient.deployments.get_deployment_history(applied["id"])
    await aclient.deployments.rollback_deployment(applied["id"], to=first["id"])
    assert (await aclient.deployments.diff_deployment("n", "p", SPEC))["text"] == ""
    assert newest["difference"]["text"] == "~ resources.replicas: 1 -> 2"
