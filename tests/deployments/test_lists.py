"""Lists are complete with any page size of the server, and take as few requests as possible."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.altering_proxy import altered
from tests.samples import API_KEY, SPEC, spec

from paperspace.gradient import BadRequestError, Client, ConflictError, InvalidArgumentError, NotFoundError
from paperspace.gradient.server import LocalServer

Wire = list[dict[str, Any]]


def names(listed: list[Any]) -> list[str]:
    """The names in a list of deployments."""
    return [deployment["name"] for deployment in listed]


@pytest.fixture
def many(client: Client) -> Client:
    """A client of a server with 250 deployments, n0 to n249."""
    for number in range(250):
        client.deployments.create_deployment(f"n{number}", f"p{number % 2}", SPEC)
    return client


NEWEST_FIRST = [f"n{number}" for number in reversed(range(250))]


@pytest.mark.parametrize(("first", "sizes"), [(3, [3]), (150, [100, 50]), (None, [100, 100, 100]), (100, [100])])
def test_first(many: Client, wire: Wire, first: int | None, sizes: list[int]) -> None:
    """`first` deployments are returned, newest first, in as few requests as pages of 100 allow."""
    assert names(many.deployments.list_deployments(first=first)) == NEWEST_FIRST[:first]
    assert [request["variables"]["first"] for request in wire] == sizes


def test_first_defaults_to_100(many: Client, wire: Wire) -> None:
    """Without `first`, at most 100 deployments are returned, in one request."""
    assert names(many.deployments.list_deployments()) == NEWEST_FIRST[:100]
    assert len(wire) == 1


def test_first_of_zero(client: Client, wire: Wire) -> None:
    """`first=0` returns an empty list without a request."""
    assert client.deployments.list_deployments(first=0) == []
    assert wire == []


def test_iterator_fetches_as_it_goes(many: Client, wire: Wire) -> None:
    """The iterator requests a page only after the one before is used up."""
    iterator = many.deployments.iter_deployments()
    assert [next(iterator)["name"] for _ in range(100)] == NEWEST_FIRST[:100]
    assert len(wire) == 1
    assert names(list(iterator)) == NEWEST_FIRST[100:]
    assert len(wire) == 3


def test_a_server_that_restarts_with_another_database() -> None:
    """The iterator ends with an error if the server has another database meanwhile: the list would not be complete."""
    with LocalServer(api_key=API_KEY) as server:
        port = urlsplit(server.url).port or 0
        with Client(API_KEY, server.url) as client:
            for number in range(101):
                client.deployments.create_deployment(f"n{number}", "p", SPEC)
            iterator = client.deployments.iter_deployments()
            next(iterator)
            server.stop()
            with LocalServer(port=port, api_key=API_KEY), pytest.raises(BadRequestError, match="in this database"):
                list(iterator)


def test_project(many: Client) -> None:
    """Only the deployments of the project are returned."""
    listed = many.deployments.list_deployments(project_id="p1", first=None)
    assert names(listed) == [name for name in NEWEST_FIRST if int(name[1:]) % 2]


def test_specs_are_complete(client: Client, wire: Wire) -> None:
    """A deployment with 120 specs has all of them, newest first, with one further request."""
    created = client.deployments.create_deployment("n", "p", SPEC)
    for port in range(2, 121):
        client.deployments.update_deployment(id=created["id"], spec=spec(port))
    wire.clear()

    [listed] = client.deployments.list_deployments()
    assert [entry["data"]["port"] for entry in listed["deploymentSpecs"]["nodes"]] == [*range(120, 1, -1), 8501]
    assert len(wire) == 2
    assert client.deployments.get_deployment(created["id"]) == listed
    assert len(wire) == 4


def test_server_with_small_pages(server: LocalServer, client: Client) -> None:
    """With a server that returns at most 10 nodes a page, the result is the same."""

    def cap(request: dict[str, Any]) -> None:
        for key in ("first", "specsFirst"):
            if key in request["variables"]:
                request["variables"][key] = min(request["variables"][key], 10)

    for number in range(25):
        client.deployments.create_deployment(f"n{number}", "p", SPEC)
    for port in range(1, 25):
        client.deployments.update_deployment("n3", "p", spec(port))
    with altered(server, request=cap) as url, Client(server.api_key, url) as other:
        assert other.deployments.list_deployments() == client.deployments.list_deployments()


def test_name_is_exact(server: LocalServer, client: Client) -> None:
    """Only the deployment with exactly this name is returned, even if the server does not filter."""

    def ignore_name(request: dict[str, Any]) -> None:
        request["variables"].pop("name", None)

    for name in ("mnist", "mnist-2", "MNIST"):
        client.deployments.create_deployment(name, "p", SPEC)
    with altered(server, request=ignore_name) as url, Client(server.api_key, url) as other:
        for either in (client, other):
            assert names(either.deployments.list_deployments(name="mnist")) == ["mnist"]
            assert either.deployments.list_deployments(name="mnis") == []


def test_name_with_accents(client: Client) -> None:
    """A name is found however its accents are encoded."""
    client.deployments.create_deployment("caf\u00e9", "p", SPEC)
    assert names(client.deployments.list_deployments(name="cafe\u0301")) == ["caf\u00e9"]


def test_cluster_restricts_deployments_and_specs(client: Client) -> None:
    """With a cluster, only deployments with a spec on it are returned, and only those specs."""
    client.deployments.create_deployment("elsewhere", "p", SPEC, "cl-2")
    client.deployments.create_deployment("moved", "p", SPEC, "cl-1")
    client.deployments.update_deployment("moved", "p", spec(2), "cl-2")
    client.deployments.create_deployment("here", "p", SPEC, "cl-1")

    listed = client.deployments.list_deployments(cluster_id="cl-1")
    ports = {entry["name"]: [node["data"]["port"] for node in entry["deploymentSpecs"]["nodes"]] for entry in listed}
    assert ports == {"here": [8501], "moved": [8501]}


def test_cluster_counts_towards_first(client: Client, wire: Wire) -> None:
    """`first` counts the deployments that are returned, not those that are filtered out."""
    for number in range(120):
        client.deployments.create_deployment(f"n{number}", "p", SPEC, "cl-1" if number < 3 else "cl-2")
    wire.clear()
    assert names(client.deployments.list_deployments(cluster_id="cl-1", first=2)) == ["n2", "n1"]
    assert len(wire) == 2


def reject_the_filter(request: dict[str, Any]) -> None:
    """Send what a server without the filter by cluster rejects."""
    request["query"] = request["query"].replace("deployments(\n    clusterId:", "deployments(\n    unknown:")
    request["query"] = request["query"].replace("deployments(clusterId:", "deployments(unknown:")


@pytest.mark.parametrize("can_filter", [True, False])
@pytest.mark.parametrize("cluster_id", ["cl-1", "unknown"])
def test_cluster_of_few_deployments(
    many: Client, server: LocalServer, wire: Wire, cluster_id: str, *, can_filter: bool
) -> None:
    """From the second page on, the server filters by cluster. One that cannot sends all pages, with the same result."""
    for deployment in (many.deployments.list_deployments(name=name)[0] for name in ("n4", "n0")):
        many.deployments.update_deployment(id=deployment["id"], cluster_id="cl-1")
    expected = ["n4", "n0"] if cluster_id == "cl-1" else []
    with (
        altered(server, request=None if can_filter else reject_the_filter) as url,
        Client(server.api_key, url) as client,
    ):
        for list_ in (client.deployments.list_deployments, client.deployments.list_deployment_statuses):
            wire.clear()
            assert names(list_(cluster_id=cluster_id)) == expected
            operations = [request["operationName"] for request in wire]
            assert len(operations) == (2 if can_filter else 4)
            assert operations[1].endswith("OnCluster")


@pytest.mark.parametrize("first", [-1, 1.5, True, "3"])
def test_invalid_first(client: Client, wire: Wire, first: Any) -> None:
    """An invalid `first` raises an error before anything is sent."""
    with pytest.raises(InvalidArgumentError, match="first: expected an integer, 0 or more"):
        client.deployments.list_deployments(first=first)
    assert wire == []


class TestUpdate:
    """An update finds its deployment, and changes only the given fields."""

    def test_by_name(self, client: Client, wire: Wire) -> None:
        """By name, the deployment with exactly this name in this project is updated, in two requests."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        client.deployments.create_deployment("n", "other", SPEC)
        wire.clear()
        assert client.deployments.update_deployment("n", "p", spec(2)) == created
        assert [request["operationName"] for request in wire] == ["Deployments", "DeploymentUpdate"]
        assert set(wire[1]["variables"]["input"]) == {"id", "spec"}
        nodes = client.deployments.get_deployment(created["id"])["deploymentSpecs"]["nodes"]
        assert [node["data"]["port"] for node in nodes] == [2, 8501]

    def test_by_id(self, client: Client) -> None:
        """By id, everything else is optional: here, the deployment is renamed and keeps its spec."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        assert client.deployments.update_deployment(id=created["id"], name="m") == created
        deployment = client.deployments.get_deployment(created["id"])
        assert deployment["name"] == "m"
        assert len(deployment["deploymentSpecs"]["nodes"]) == 1

    def test_unknown_name(self, client: Client) -> None:
        """A name that no deployment of the project has raises NotFoundError."""
        client.deployments.create_deployment("n", "other", SPEC)
        with pytest.raises(NotFoundError, match="no deployment is named 'n' in project 'p'"):
            client.deployments.update_deployment("n", "p", SPEC)

    def test_taken_name(self, client: Client) -> None:
        """Renaming to a taken name raises ConflictError, and changes nothing."""
        client.deployments.create_deployment("n", "p", SPEC)
        other = client.deployments.create_deployment("m", "p", SPEC)
        with pytest.raises(ConflictError, match="'n'"):
            client.deployments.update_deployment(id=other["id"], name="n")
        assert client.deployments.get_deployment(other["id"])["name"] == "m"

    @pytest.mark.parametrize("arguments", [{}, {"name": "n"}, {"project_id": "p", "spec": SPEC}])
    def test_unidentified_deployment(self, client: Client, arguments: dict[str, Any]) -> None:
        """Without an id, and without a name and its project, the error says what to pass."""
        with pytest.raises(InvalidArgumentError, match="pass name and project_id, or id"):
            client.deployments.update_deployment(**arguments)

    def test_without_a_change(self, client: Client) -> None:
        """An update without a change raises an error that says what to pass."""
        created = client.deployments.create_deployment("n", "p", SPEC)
        with pytest.raises(InvalidArgumentError, match="nothing to change"):
            client.deployments.update_deployment(id=created["id"])


def test_vague_error(server: LocalServer) -> None:
    """If the server does not say what is invalid, the error lists likely causes, and keeps its facts."""

    def refuse(reply: dict[str, Any]) -> None:
        reply.clear()
        error = {"message": "One or more invalid values were supplied.", "extensions": {"code": "BAD_USER_INPUT"}}
        reply["errors"] = [error]

    cause = "the cluster or instance type does not exist"
    with altered(server, response=refuse) as url, Client(server.api_key, url) as client:
        with pytest.raises(BadRequestError, match=f"possible cause: the name is already in use, or {cause}"):
            client.deployments.create_deployment("n", "p", SPEC)
        with pytest.raises(BadRequestError, match=f"possible cause: {cause}"):
            client.deployments.update_deployment(id="00000000-0000-0000-0000-0000000000ff", spec=SPEC)
