"""The whole spec is read, and parts of it are changed; the rest stays the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from tests.altering_proxy import altered
from tests.deployments.test_changes import FULL, NOTHING, UNKNOWN_ID
from tests.samples import SPEC, spec

from paperspace.gradient import (
    AsyncClient,
    Client,
    ConflictError,
    DeploymentFailedError,
    InvalidArgumentError,
    InvalidSpecError,
    NotFoundError,
)
from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.http.middleware import Handler


@pytest.fixture(name="id")
def _id(client: Client) -> str:
    """A deployment with every field of a spec."""
    return client.deployments.create_deployment("n", "p", FULL, "cl-1")["id"]


def newest_change(client: Client, id: str) -> list[str]:
    """The lines of the newest difference in the history."""
    return client.deployments.get_deployment_history(id)[0]["difference"]["text"].splitlines()


class TestGetDeploymentSpec:
    """`get_deployment_spec` returns what `create_deployment` and the others take."""

    def test_read_change_write(self, client: Client, id: str) -> None:
        """A field that is changed in the read spec is the only difference after writing it back."""
        read = client.deployments.get_deployment_spec(id)
        read["image"] = "nginx"
        client.deployments.update_deployment(id=id, spec=read)
        assert newest_change(client, id) == ["~ image: 'tensorflow/serving' -> 'nginx'"]

    def test_newest(self, client: Client, id: str) -> None:
        """It is the newest spec, without fields that are null."""
        client.deployments.update_deployment(id=id, spec=SPEC)
        assert client.deployments.get_deployment_spec(id) == SPEC

    def test_copy(self, client: Client, id: str) -> None:
        """A deployment that is created from it has the same spec, passwords included."""
        client.deployments.create_deployment("copy", "p", client.deployments.get_deployment_spec(id))
        assert client.deployments.diff_deployment("copy", "p", FULL) == NOTHING

    def test_unknown(self, client: Client) -> None:
        """An unknown deployment raises NotFoundError."""
        with pytest.raises(NotFoundError):
            client.deployments.get_deployment_spec(UNKNOWN_ID)


class TestPatch:
    """`patch_deployment` changes the given fields only."""

    @pytest.mark.parametrize(
        ("changes", "lines"),
        [
            ({"image": "nginx"}, ["~ image: 'tensorflow/serving' -> 'nginx'"]),
            ({"replicas": 4}, ["~ resources.replicas: 2 -> 4"]),
            ({"instance_type": "C4"}, ["~ resources.instanceType: 'A100' -> 'C4'"]),
            ({"command": ["run"]}, ["~ command: ['serve', '--fast'] -> ['run']"]),
            ({"command": []}, ["- command: ['serve', '--fast']"]),
        ],
    )
    def test_one_field(self, client: Client, id: str, changes: dict[str, Any], lines: list[str]) -> None:
        """Only the given field changes; the cluster stays the same."""
        assert client.deployments.patch_deployment(id, **changes)["id"] == id
        assert newest_change(client, id) == lines
        assert client.deployments.get_deployment_history(id)[0]["cluster"] == {"id": "cl-1"}

    def test_env(self, client: Client, id: str) -> None:
        """Variables are replaced in their place, added at the end, and removed; an unknown name to remove is ignored."""
        client.deployments.patch_deployment(id, env={"C": "3", "A": "x"}, unset_env=["D"])
        assert client.deployments.get_deployment_spec(id)["env"] == [
            {"name": "A", "value": "x"},
            {"name": "B", "value": "2"},
            {"name": "C", "value": "3"},
        ]
        client.deployments.patch_deployment(id, unset_env={"A", "C"})
        assert client.deployments.get_deployment_spec(id)["env"] == [{"name": "B", "value": "2"}]
        client.deployments.patch_deployment(id, unset_env=("B",))
        assert "env" not in client.deployments.get_deployment_spec(id)

    def test_short_spec(self, client: Client) -> None:
        """Fields that the spec does not set are added."""
        created_id = client.deployments.create_deployment("short", "p", {"image": "nginx"})["id"]
        client.deployments.patch_deployment(
            created_id, env={"A": "1"}, replicas=2, instance_type="C4", command=["serve"], unset_env=["B"]
        )
        assert client.deployments.get_deployment_spec(created_id) == {
            "image": "nginx",
            "command": ["serve"],
            "env": [{"name": "A", "value": "1"}],
            "resources": {"replicas": 2, "instanceType": "C4"},
        }

    def test_a_later_change_of_the_arguments(self, client: Client, server: LocalServer, id: str) -> None:
        """The values at the time of the call are sent, though their owner changes them while the spec is read."""
        env, unset_env, command = {"A": "x"}, ["D"], ["run"]

        async def change(request: web.Request, handler: Handler) -> web.StreamResponse:
            env["A"] = "y"
            unset_env.append("B")
            command.append("--fast")
            return await handler(request)

        server.inject_fault(change, operation="DeploymentHistory")
        client.deployments.patch_deployment(id, env=env, unset_env=unset_env, command=command)
        changed = client.deployments.get_deployment_spec(id)
        assert changed["env"] == [{"name": "A", "value": "x"}, {"name": "B", "value": "2"}]
        assert changed["command"] == ["run"]

    def test_a_change_that_does_not_fit_the_spec(self, client: Client, wire: list[dict[str, Any]]) -> None:
        """More replicas than autoscaling allows are an error that says so, and nothing is sent."""
        autoscaling = {"maxReplicas": 3, "metrics": [{"metric": "cpu", "value": 50}]}
        created = client.deployments.create_deployment(
            "n", "p", {"image": "i", "resources": {"replicas": 1, "autoscaling": autoscaling}}
        )
        wire.clear()
        message = "^invalid spec: resources.autoscaling.maxReplicas: expected an integer, 4 or more, got 3$"
        with pytest.raises(InvalidSpecError, match=message):
            client.deployments.scale_deployment(created["id"], 4)
        with pytest.raises(InvalidSpecError, match=message):
            client.deployments.patch_deployment(created["id"], replicas=4)
        assert [request["operationName"] for request in wire] == ["DeploymentHistory"] * 2

    def test_a_spec_that_only_the_server_accepts(self, client: Client, server: LocalServer, id: str) -> None:
        """What our rules refuse in a spec of the server does not prevent a change of another field."""

        def other_rules(response: dict[str, Any]) -> None:
            for node in (response["data"].get("deployment") or {}).get("deploymentSpecs", {"nodes": ()})["nodes"]:
                node["data"]["port"] = 0

        def our_rules(request: dict[str, Any]) -> None:
            if spec := request["variables"].get("input", {}).get("spec"):
                spec["port"] = FULL["port"]

        with altered(server, request=our_rules, response=other_rules) as url, Client(server.api_key, url) as other:
            other.deployments.patch_deployment(id, image="nginx")
        assert newest_change(client, id) == ["~ image: 'tensorflow/serving' -> 'nginx'"]

    def test_a_part_that_only_the_server_accepts(self, client: Client, server: LocalServer, id: str) -> None:
        """What our rules refuse does not prevent a change either that moves it in its list, or that concerns the same rule."""

        def other_rules(response: dict[str, Any]) -> None:
            for node in (response["data"].get("deployment") or {}).get("deploymentSpecs", {"nodes": ()})["nodes"]:
                node["data"]["env"] += [{"name": "B=", "value": "x"}]
                node["data"]["resources"]["autoscaling"]["maxReplicas"] = 1

        def our_rules(request: dict[str, Any]) -> None:
            if spec := request["variables"].get("input", {}).get("spec"):
                assert spec["env"].pop() == {"name": "B=", "value": "x"}
                spec["resources"]["autoscaling"]["maxReplicas"] = 5

        with altered(server, request=our_rules, response=other_rules) as url, Client(server.api_key, url) as other:
            other.deployments.patch_deployment(id, unset_env=["A"], replicas=3)
        assert newest_change(client, id) == ["- env.A: (hidden)", "~ resources.replicas: 2 -> 3"]

    def test_no_difference(self, client: Client, id: str, wire: list[dict[str, Any]]) -> None:
        """A patch with the current values sends no mutation."""
        client.deployments.patch_deployment(id, image=FULL["image"], env={"B": "2"}, unset_env=["X"], replicas=2)
        assert [request["operationName"] for request in wire] == ["DeploymentHistory"]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({}, "nothing to change"),
            ({"image": ""}, "^image: expected a container image"),
            ({"image": 3}, "^image: expected a string, got 3"),
            ({"env": ["A=1"]}, "^env: expected a dict, got a value of type list"),
            ({"env": {"A": 1}}, "^env.A: expected a string"),
            ({"env": {"A=hunter2": "1"}}, "^env: expected the name of an environment variable, got 'A='"),
            ({"env": {"A": "1"}, "unset_env": ["A"]}, "^unset_env: expected a name that `env` does not set, got 'A'"),
            ({"env": {"A": "(hidden)"}}, "^env.A: expected the real value"),
            ({"unset_env": "A"}, "^unset_env: expected a list of names, got a value of type str"),
            ({"unset_env": [1]}, "^unset_env: expected the name of an environment variable, got 1"),
            ({"replicas": -1}, "^replicas: expected an integer, 0 or more, got -1"),
            ({"instance_type": ""}, "^instance_type: expected a non-empty string"),
            ({"command": "serve --fast"}, "^command: expected a list"),
            ({"command": ["serve", 3]}, r"^command\[1\]: expected a string"),
        ],
    )
    def test_invalid(
        self, client: Client, id: str, wire: list[dict[str, Any]], changes: dict[str, Any], message: str
    ) -> None:
        """An invalid argument, or none, raises an error that names the argument; nothing is sent."""
        with pytest.raises(InvalidArgumentError, match=message) as caught:
            client.deployments.patch_deployment(id, **changes)
        assert "hunter2" not in str(caught.value)
        assert wire == []

    def test_every_problem(self, client: Client) -> None:
        """Every problem is reported at once, that of the id included."""
        with pytest.raises(InvalidArgumentError) as caught:
            client.deployments.patch_deployment("n", image="", replicas=-1)
        assert [problem.field for problem in caught.value.problems] == ["id", "image", "replicas"]

    def test_wait(self, client: Client, id: str) -> None:
        """With `wait`, it returns when the new spec is ready, and raises if that fails."""
        client.deployments.patch_deployment(id, image="nginx", wait=True)
        assert client.deployments.get_deployment_status(id)["state"] == "ready"
        with pytest.raises(DeploymentFailedError):
            client.deployments.patch_deployment(id, env={"GRADIENT_SIMULATE": "fail"}, wait=True)


CHANGES: dict[str, Callable[[Client, str], object]] = {
    "scale": lambda client, which: client.deployments.scale_deployment(which, 4),
    "patch": lambda client, which: client.deployments.patch_deployment(which, image="nginx"),
    "restart": lambda client, which: client.deployments.restart_deployment(which),
    "rollback": lambda client, which: client.deployments.rollback_deployment(which, previous=True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_concurrent_change(server: LocalServer, client: Client, id: str, change: str) -> None:
    """If another client adds a spec between reading and writing, the error has the ids of its spec and of the new one."""
    client.deployments.scale_deployment(id, 3)

    def interfere(request: dict[str, Any]) -> None:
        if request["operationName"] == "DeploymentUpdate":
            client.deployments.update_deployment(id=id, spec=SPEC)

    with (
        altered(server, request=interfere) as url,
        Client(server.api_key, url) as slow,
        pytest.raises(ConflictError) as caught,
    ):
        CHANGES[change](slow, id)
    newest, between, _, _ = client.deployments.get_deployment_history(id)
    assert f"spec {newest['id']} of this call replaced spec {between['id']} of the other client" in str(caught.value)


class TestRestart:
    """`restart_deployment` makes a new revision of the same spec."""

    def test_new_revision(self, client: Client, id: str) -> None:
        """The new revision has the same spec and cluster, and replicas of its own."""
        client.deployments.wait_for_deployment(id)
        before = client.deployments.get_deployment_status(id)
        assert client.deployments.restart_deployment(id, wait=True)["id"] == id
        newest, first = client.deployments.get_deployment_history(id)
        assert (newest["data"], newest["cluster"]) == (first["data"], first["cluster"])
        after = client.deployments.get_deployment_status(id)
        assert after["state"] == "ready"
        assert not {entry["name"] for entry in before["instances"]} & {entry["name"] for entry in after["instances"]}

    def test_stopped(self, client: Client, id: str) -> None:
        """A stopped deployment stays stopped."""
        client.deployments.stop_deployment(id)
        client.deployments.restart_deployment(id, wait=True)
        assert client.deployments.get_deployment_status(id)["state"] == "stopped"


class TestRollbackToThePrevious:
    """`rollback_deployment(id, previous=True)` undoes the last change."""

    def test_twice(self, client: Client, id: str) -> None:
        """The spec and cluster of the revision before are restored; the second time, those of the newest."""
        client.deployments.update_deployment(id=id, spec=SPEC, cluster_id="cl-2")
        assert client.deployments.rollback_deployment(id, previous=True)["id"] == id
        assert client.deployments.diff_deployment("n", "p", FULL, "cl-1") == NOTHING
        client.deployments.rollback_deployment(id, previous=True)
        assert client.deployments.diff_deployment("n", "p", SPEC, "cl-2") == NOTHING

    def test_after_a_restart(self, client: Client, id: str) -> None:
        """Revisions with the same spec and cluster as the newest are no change, and are skipped."""
        client.deployments.update_deployment(id=id, spec=SPEC)
        client.deployments.restart_deployment(id)
        client.deployments.rollback_deployment(id, previous=True)
        assert client.deployments.diff_deployment("n", "p", FULL) == NOTHING

    def test_of_many_revisions(self, client: Client) -> None:
        """The revision is also found behind the first page of the history."""
        created_id = client.deployments.create_deployment("many", "p", spec(port=1))["id"]
        for _ in range(101):
            client.deployments.update_deployment(id=created_id, spec=spec(port=2))
        client.deployments.rollback_deployment(created_id, previous=True)
        assert client.deployments.get_deployment_spec(created_id) == spec(port=1)

    def test_no_earlier_one(self, client: Client, id: str) -> None:
        """Without an earlier revision that differs, it raises NotFoundError for a spec, and changes nothing."""
        client.deployments.restart_deployment(id)
        with pytest.raises(NotFoundError, match="no earlier spec that differs") as caught:
            client.deployments.rollback_deployment(id, previous=True)
        assert caught.value.resource == "spec"
        assert len(client.deployments.get_deployment_history(id)) == 2

    @pytest.mark.parametrize("arguments", [{}, {"to": UNKNOWN_ID, "previous": True}, {"previous": False}])
    def test_arguments(self, client: Client, id: str, wire: list[dict[str, Any]], arguments: dict[str, Any]) -> None:
        """Exactly one of `to` and `previous` is required."""
        with pytest.raises(InvalidArgumentError, match="either to= or previous=True"):
            client.deployments.rollback_deployment(id, **arguments)
        assert wire == []


@pytest.mark.anyio
async def test_async(aclient: AsyncClient) -> None:
    """The async versions do the same."""
    created = (await aclient.deployments.create_deployment("n", "p", FULL))["id"]
    await aclient.deployments.patch_deployment(created, image="nginx")
    await aclient.deployments.restart_deployment(created)
    assert (await aclient.deployments.get_deployment_spec(created))["image"] == "nginx"
    await aclient.deployments.rollback_deployment(created, previous=True)
    assert await aclient.deployments.diff_deployment("n", "p", FULL) == NOTHING
