"""Fields of a spec that the hosted API did not have: kept by every function, refused for a server that lacks them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from typing import Any

import anyio
import pytest
from tests.altering_proxy import altered
from tests.samples import API_KEY, SPEC
from tests.schema.other_schema import executable
from tools import TOP

from paperspace.gradient import AsyncClient, Client, DeploymentFailedError, InvalidSpecError
from paperspace.gradient._core import session
from paperspace.gradient._schema.functions import ADDED, FUNCTIONS
from paperspace.gradient._spec.files import file_content, parse_file
from paperspace.gradient.schema import diff
from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.graphql import documents, execution

CHECKS: Any = {
    "readiness": {"path": "/ready", "headers": [{"name": "X-Check", "value": "1"}], "periodSeconds": 5},
    "liveness": {"exec": {"command": ["cat", "/tmp/live"]}, "failureThreshold": 5},
}
SECURITY: Any = {"protected": True, "secret": "web"}
CHECKED: Any = {**SPEC, "healthChecks": CHECKS}
PROTECTED: Any = {**SPEC, "endpointSecurity": SECURITY}


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """A server with the schema of the hosted API."""
    schema = executable((TOP / "tests/hosted.graphql").read_text(encoding="utf-8"), {}, {})
    monkeypatch.setattr(documents, "executable_schema", lambda: schema)
    monkeypatch.setattr(execution, "executable_schema", lambda: schema)
    with LocalServer(api_key=API_KEY) as server:
        yield server


@pytest.fixture
def old_client(hosted: LocalServer) -> Iterator[Client]:
    """A client of that server."""
    with Client(hosted.api_key, hosted.url) as client:
        yield client


CHANGES: dict[str, Callable[[Client, str], object]] = {
    "scale": lambda client, id_: client.deployments.scale_deployment(id_, 3),
    "patch": lambda client, id_: client.deployments.patch_deployment(id_, image="nginx", env={"A": "b"}),
    "stop": lambda client, id_: client.deployments.stop_deployment(id_),
    "restart": lambda client, id_: client.deployments.restart_deployment(id_),
    "move": lambda client, id_: client.deployments.update_deployment(id=id_, cluster_id="other"),
    "write back": lambda client, id_: client.deployments.update_deployment(
        id=id_, spec={**client.deployments.get_deployment_spec(id_), "image": "nginx"}
    ),
    "write back as a file": lambda client, id_: client.deployments.update_deployment(
        id=id_, spec=parse_file(str(file_content(client.deployments.get_deployment_spec(id_))), "f", ".yaml").spec
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changes_keep_it(client: Client, change: Callable[[Client, str], object]) -> None:
    """A function that changes something else carries the checks on."""
    id_ = client.deployments.create_deployment("n", "p", CHECKED)["id"]
    change(client, id_)
    assert len(client.deployments.get_deployment_history(id_)) == 2
    assert client.deployments.get_deployment_spec(id_)["healthChecks"] == CHECKS


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changes_keep_the_protection(client: Client, change: Callable[[Client, str], object]) -> None:
    """A function that changes something else does not open a protected endpoint."""
    id_ = client.deployments.create_deployment("n", "p", PROTECTED)["id"]
    change(client, id_)
    assert client.deployments.get_deployment_spec(id_)["endpointSecurity"] == SECURITY
    assert "endpointSecurity" not in client.deployments.get_deployment(id_)["deploymentSpecs"]["nodes"][0]["data"]


def test_a_rollback_brings_it_back(client: Client) -> None:
    """A rollback to a spec with checks restores them; they are in the differences of the history."""
    id_ = client.deployments.create_deployment("n", "p", CHECKED)["id"]
    assert client.deployments.diff_deployment("n", "p", CHECKED)["changes"] == []
    assert client.deployments.apply_deployment("n", "p", SPEC)["action"] == "updated"
    client.deployments.rollback_deployment(id_, previous=True)
    assert client.deployments.get_deployment_spec(id_) == CHECKED
    newest = client.deployments.get_deployment_history(id_)[0]["difference"]["text"]
    assert "+ healthChecks.readiness.path: '/ready'" in newest.splitlines()


def test_results_have_it_only_if_it_is_set(client: Client) -> None:
    """The key is in a result if the spec has it. The documented functions return the documented keys only."""
    id_ = client.deployments.create_deployment("n", "p", SPEC)["id"]
    client.deployments.update_deployment(id=id_, spec=CHECKED)
    newest, first = client.deployments.get_deployment_history(id_)
    assert newest["data"].get("healthChecks") is not None
    assert list(newest["data"])[-1] == "healthChecks"
    assert "healthChecks" not in first["data"]
    newest_node, first_node = client.deployments._get_deployment_details(id_)["deploymentSpecs"]["nodes"]
    assert ("healthChecks" in newest_node["data"], "healthChecks" in first_node["data"]) == (True, False)
    node = client.deployments.get_deployment(id_)["deploymentSpecs"]["nodes"][0]
    assert set(node["data"]) == {"image", "port", "resources"}


def test_no_additional_requests(client: Client, wire: list[dict[str, Any]]) -> None:
    """With our server, no request is repeated, and none finds out what the server has."""
    id_ = client.deployments.create_deployment("n", "p", CHECKED)["id"]
    client.deployments.get_deployment_history(id_)
    client.deployments.scale_deployment(id_, 2)
    assert [request["operationName"] for request in wire] == [
        "DeploymentCreate",
        "DeploymentHistory",
        "DeploymentHistory",
        "DeploymentUpdate",
    ]


class TestServerThatLacksIt:
    """A server with the schema of the hosted API."""

    def test_everything_else_works(self, old_client: Client) -> None:
        """Every function works, except events, which the hosted API lacks too."""
        functions = old_client.deployments
        id_ = functions.create_deployment("n", "p", SPEC)["id"]
        functions.update_deployment("n", "p", {**SPEC, "port": 1})
        functions.apply_deployment("n", "p", {**SPEC, "port": 2})
        assert functions.get_deployment_spec(id_) == {**SPEC, "port": 2}
        for change in CHANGES.values():
            change(old_client, id_)
        functions.rollback_deployment(id_, previous=True)
        assert functions.diff_deployment("n", "p", SPEC)["changes"]
        assert "healthChecks" not in functions.get_deployment_history(id_)[0]["data"]
        assert "healthChecks" not in functions._get_deployment_details(id_)["deploymentSpecs"]["nodes"][0]["data"]
        assert functions.get_deployment_status(id_)["id"] == id_
        assert [status["id"] for status in functions.list_deployment_statuses()] == [id_]
        assert [entry["id"] for entry in functions.list_deployments()] == [id_]
        functions.delete_deployment(id_)

    def test_one_request_in_all(self, old_client: Client, wire: list[dict[str, Any]]) -> None:
        """One request of a client is repeated. Then it knows, also with other options."""
        id_ = old_client.deployments.create_deployment("n", "p", SPEC)["id"]
        wire.clear()
        old_client.deployments.get_deployment_history(id_)
        old_client.with_options(timeout=5.0).deployments.scale_deployment(id_, 2)
        names = [request["operationName"] for request in wire]
        assert names == ["DeploymentHistory", "DeploymentHistory", "DeploymentHistory", "DeploymentUpdate"]

    def test_an_upgrade(self, client: Client) -> None:
        """After some time, a client asks again: it does not remove a field that a server has got in the meantime."""
        client._session._missing["healthChecks"] = monotonic()
        id_ = client.deployments.create_deployment("n", "p", CHECKED)["id"]
        client.deployments.scale_deployment(id_, 2)
        assert client.deployments.get_deployment_spec(id_)["healthChecks"] == CHECKS

    def test_a_field_is_left_out_for_some_time(self, old_client: Client) -> None:
        """What the server lacks is remembered, and not for ever."""
        id_ = old_client.deployments.create_deployment("n", "p", SPEC)["id"]
        old_client.deployments.get_deployment_history(id_)
        missing = old_client._session._missing
        assert set(missing) == {"endpointSecurity", "healthChecks"}
        assert all(monotonic() < until <= monotonic() + session._MISSING_LIFETIME for until in missing.values())

    def test_threads(self, old_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """A call works while another thread learns of a further field that the server lacks."""
        id_ = old_client.deployments.create_deployment("n", "p", SPEC)["id"]
        old_client.deployments.get_deployment_history(id_)
        missing, seconds = old_client._session._missing, session._seconds

        def seconds_of_another_field() -> float:
            missing[f"field{len(missing)}"] = seconds()
            return seconds()

        monkeypatch.setattr(session, "_seconds", seconds_of_another_field)
        assert old_client.deployments.get_deployment_spec(id_) == SPEC

    @pytest.mark.anyio
    async def test_many_calls_at_once(self, hosted: LocalServer) -> None:
        """Calls that are rejected at the same time are all repeated."""
        async with AsyncClient(hosted.api_key, hosted.url) as client:
            id_ = (await client.deployments.create_deployment("n", "p", SPEC))["id"]
            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(client.deployments.get_deployment_history, id_)

    @pytest.mark.parametrize("knows", [False, True])
    @pytest.mark.parametrize("terse", [False, True])
    def test_specs_with_it_are_refused(self, hosted: LocalServer, *, knows: bool, terse: bool) -> None:
        """Each function that sends a spec refuses one with checks, whatever the server says, and nothing is changed."""
        with (
            altered(hosted, response=_without_details if terse else None) as url,
            Client(hosted.api_key, url) as client,
        ):
            functions = client.deployments
            id_ = functions.create_deployment("n", "p", SPEC)["id"]
            if knows:
                functions.get_deployment_history(id_)
            for call in (
                partial(functions.create_deployment, "m", "p", CHECKED),
                partial(functions.update_deployment, "n", "p", CHECKED),
                partial(functions.update_deployment, id=id_, spec=CHECKED),
                partial(functions.apply_deployment, "n", "p", CHECKED),
                partial(functions.apply_deployment, "m", "p", CHECKED, dry_run=True),
                partial(functions.diff_deployment, "n", "p", CHECKED),
            ):
                if not knows:
                    client._session._missing.clear()
                with pytest.raises(InvalidSpecError) as caught:
                    call()
                assert str(caught.value) == (
                    "invalid spec: healthChecks: unknown field "
                    "(this server does not have it; remove it, or use another server)"
                )
            assert functions.get_deployment_spec(id_) == SPEC
            assert len(functions.list_deployments()) == 1

    def test_what_still_serves(self, old_client: Client, wire: list[dict[str, Any]]) -> None:
        """A failed update shows that an earlier revision still serves, without its id. The server is asked for the id once."""
        functions = old_client.deployments
        id_ = functions.create_deployment("n", "p", SPEC, wait=True)["id"]
        functions.patch_deployment(id_, env={"GRADIENT_SIMULATE": "fail"})
        with pytest.raises(
            DeploymentFailedError,
            match=r"failed: Simulated: cannot .* An earlier revision still serves [(]1 of 1 replicas ready[)]",
        ):
            functions.wait_for_deployment(id_)
        wire.clear()
        status = functions.get_deployment_status(id_)
        assert status["serving"] == {"specId": None, "replicas": 1, "readyReplicas": 1}
        assert len(wire) == 1

    def test_protection_is_refused(self, old_client: Client) -> None:
        """A spec whose endpoint must be protected is refused, so that it is not open instead. Statuses do not say it is open."""
        with pytest.raises(InvalidSpecError, match=r"endpointSecurity: unknown field \(this server does not have it"):
            old_client.deployments.create_deployment("n", "p", PROTECTED)
        assert old_client.deployments.list_deployments() == []
        id_ = old_client.deployments.create_deployment("n", "p", SPEC)["id"]
        assert old_client.deployments.get_deployment_status(id_)["protected"] is None

    def test_diff_of_schemas(self) -> None:
        """`gradient schema diff` names only the functions of operations that the hosted API lacked as a whole."""
        report = diff(TOP / "tests/hosted.graphql")
        assert set(report.broken_functions) == {name for operation in ADDED for name in FUNCTIONS[operation]}


def _without_details(response: dict[str, Any]) -> None:
    """Say nothing about rejected values, as Apollo servers can be set up. Errors of the validation keep their message."""
    for error in response.get("errors") or ():
        if error["extensions"]["code"] == "BAD_USER_INPUT":
            error.update(message="One or more invalid values were supplied.", path=None)
