"""Pagination: forwards, backwards, nested, and while the list changes."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from paperspace.gradient.server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.raw_client import Caller, Json
    from tests.server.conftest import Clock


LIST = """
query ($first: Int, $last: Int, $after: String, $before: String, $orderBy: DeploymentOrder, $projectId: String) {
  deployments(
    first: $first, last: $last, after: $after, before: $before, orderBy: $orderBy, projectId: $projectId
  ) {
    edges { cursor node { name } }
    nodes { name }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
SPECS = """
query ($first: Int, $last: Int, $after: String, $before: String, $orderBy: DeploymentSpecOrder) {
  deployments(orderBy: {direction: ASC}) {
    nodes {
      deploymentSpecs(first: $first, last: $last, after: $after, before: $before, orderBy: $orderBy) {
        edges { cursor node { data { port } } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }
  }
}
"""
ASC, DESC = {"direction": "ASC"}, {"direction": "DESC", "field": "dtCreated"}


def cursor(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def in_database(text: str) -> Callable[[str], str]:
    """Return a function that makes a cursor from a text and the id of a database in cursors."""
    return lambda id_: cursor(f"{id_}:{text}")


def names(page: Json) -> list[str]:
    return [node["name"] for node in page["nodes"]]


def expected_page(
    items: list[str], cursors: list[str], *, first: int | None, last: int | None, after: str | None, before: str | None
) -> tuple[list[str], bool, bool]:
    """Compute the page and its two flags as the Relay specification defines them."""
    begin = 0 if after is None else cursors.index(after) + 1
    end = len(items) if before is None else cursors.index(before)
    window = items[begin:end] if begin < end else []
    if last is not None:
        page = window[len(window) - min(last, len(window)) :]
        return page, before is not None, len(window) > last
    limit = 100 if first is None else first
    return window[:limit], len(window) > limit, after is not None


@pytest.mark.parametrize("order", [None, ASC, DESC])
def test_every_window_follows_relay(call: Caller, order: Json | None) -> None:
    """For every combination of arguments, items, edges and all four fields of pageInfo are as Relay defines them."""
    for number in range(4):
        call.create(f"d{number}")
    whole = call(LIST, orderBy=order).data["deployments"]
    cursors = [edge["cursor"] for edge in whole["edges"]]
    assert names(whole) == [f"d{number}" for number in (range(4) if order is ASC else range(3, -1, -1))]

    counts = [(None, None), *((n, None) for n in (0, 1, 2, 4, 5)), *((None, n) for n in (0, 1, 2, 4, 5))]
    for (first, last), after, before in product(counts, [None, *cursors], [None, *cursors]):
        arguments = {"first": first, "last": last, "after": after, "before": before}
        page = call(LIST, orderBy=order, **arguments).data["deployments"]
        expected, has_next, has_previous = expected_page(names(whole), cursors, **arguments)
        assert names(page) == [edge["node"]["name"] for edge in page["edges"]] == expected, arguments
        cursors_of_page = [edge["cursor"] for edge in page["edges"]]
        assert page["pageInfo"] == {
            "hasNextPage": has_next,
            "hasPreviousPage": has_previous,
            "startCursor": cursors_of_page[0] if cursors_of_page else None,
            "endCursor": cursors_of_page[-1] if cursors_of_page else None,
        }, arguments


@pytest.mark.parametrize(
    ("count", "cursor", "more", "edge"),
    [
        ("first", "after", "hasNextPage", "endCursor"),
        ("last", "before", "hasPreviousPage", "startCursor"),
    ],
)
def test_pages_contain_each_item_once(call: Caller, count: str, cursor: str, more: Any, edge: str) -> None:
    """Pages of 3, from either end, contain each of 7 deployments exactly once."""
    for number in range(7):
        call.create(f"d{number}")
    collected: list[str] = []
    sizes: list[int] = []
    position = None
    while True:
        page = call(LIST, **{count: 3, cursor: position}).data["deployments"]
        collected = collected + names(page) if count == "first" else names(page) + collected
        sizes.append(len(page["nodes"]))
        if not page["pageInfo"][more]:
            break
        position = page["pageInfo"][edge]
    assert collected == [f"d{number}" for number in range(6, -1, -1)]
    assert sizes == [3, 3, 1]


def test_nested_connections(call: Caller) -> None:
    """Nested connections have correct pages for each parent of a list, in both directions."""
    for name in ("a", "b"):
        id_ = call.create(name, spec={"image": "i", "port": 1})
        for port in range(2, 6 if name == "a" else 3):
            call.update(id_, spec={"image": "i", "port": port})

    def pages(**arguments: Any) -> list[Any]:
        nodes = call(SPECS, **arguments).data["deployments"]["nodes"]
        result = []
        for node in nodes:
            connection = node["deploymentSpecs"]
            info = connection["pageInfo"]
            result.append(
                (
                    [edge["node"]["data"]["port"] for edge in connection["edges"]],
                    info["hasPreviousPage"],
                    info["hasNextPage"],
                )
            )
        return result

    assert pages() == [([5, 4, 3, 2, 1], False, False), ([2, 1], False, False)]
    assert pages(first=2) == [([5, 4], False, True), ([2, 1], False, False)]
    assert pages(last=1) == [([1], True, False), ([1], True, False)]
    assert pages(first=2, orderBy=ASC) == [([1, 2], False, True), ([1, 2], False, False)]
    position = call(SPECS, first=2).data["deployments"]["nodes"][0]["deploymentSpecs"]["pageInfo"]["endCursor"]
    # A cursor is a position among all specs: those of the other deployment are all newer.
    assert pages(after=position) == [([3, 2, 1], True, False), ([], True, False)]
    assert pages(before=position, last=1) == [([5], False, True), ([1], True, False)]


def test_cursors_of_other_lists(call: Caller, clock: Clock) -> None:
    """A cursor is valid only for lists of the same kind of item."""
    id_ = call.create()
    clock.forward(minutes=1)
    query = (
        "query ($id: UUID!, $a: String, $b: String, $c: String, $d: String) {"
        " deployments(after: $a) { pageInfo { startCursor endCursor } } deployment(id: $id) {"
        " deploymentSpecs(after: $b) { pageInfo { endCursor } }"
        " deploymentRollouts(after: $c) { pageInfo { endCursor } }"
        " logs(after: $d) { pageInfo { endCursor } } } }"
    )
    data = call(query, id=id_).data
    lists = {"a": data["deployments"], "b": data["deployment"]["deploymentSpecs"]}
    lists |= {"c": data["deployment"]["deploymentRollouts"], "d": data["deployment"]["logs"]}
    cursors = {name: list_["pageInfo"]["endCursor"] for name, list_ in lists.items()}
    assert len(set(cursors.values())) == 4
    for argument, source in product(cursors, cursors):
        response = call(query, id=id_, **{argument: cursors[source]})
        if argument == source:
            assert response.data
        else:
            assert response.code == "BAD_USER_INPUT"
            assert "expected a cursor of this list" in response.error["message"]


def test_cursors_of_another_database(caller: type[Caller]) -> None:
    """A cursor is rejected by a server with another database: the list would continue elsewhere, and items be missed."""
    cursors: list[str] = []
    for number in range(2):
        with LocalServer() as server:
            call = caller(server)
            call.create("a")
            call.create("b")
            if number:
                response = call(LIST, after=cursors[0])
                assert response.code == "BAD_USER_INPUT"
                assert "expected a cursor of this list, in this database" in response.error["message"]
            cursors.append(call(LIST, first=1).data["deployments"]["pageInfo"]["endCursor"])


@pytest.mark.parametrize("order", [{}, {"direction": None}, {"field": "dtCreated"}, {"field": None}])
def test_the_default_direction(call: Caller, order: Json) -> None:
    """An order without a direction is the newest item first, as in the hosted API, for each list."""
    for name in ("a", "b"):
        call.create(name)
    assert names(call(LIST, orderBy=order).data["deployments"]) == ["b", "a"]
    id_ = call.create(spec={**call.SPEC, "resources": {"replicas": 2}})
    query = (
        "query ($id: UUID!, $order: DeploymentLogOrder) { deployment(id: $id) {"
        " logs { nodes { instanceName } } ordered: logs(orderBy: $order) { nodes { instanceName } } } }"
    )
    deployment = call(query, id=id_, order=order).data["deployment"]
    assert deployment["ordered"]["nodes"] == deployment["logs"]["nodes"][::-1]


def test_page_size(call: Caller) -> None:
    """The default and the maximum page size are 100."""
    for number in range(101):
        call.create(f"d{number}")
    for arguments in ({}, {"first": None, "last": None}, {"first": 100}):
        page = call(LIST, **arguments).data["deployments"]
        assert len(page["nodes"]) == 100
        assert page["pageInfo"]["hasNextPage"]


def test_page_size_in_a_mutation(call: Caller) -> None:
    """A page size in the document of a mutation is rejected as in a query, and nothing is changed."""
    id_ = call.create()
    selection = "{ deployment { deploymentSpecs(first: 101) { nodes { id } } } }"
    mutation = f'mutation {{ deleteDeployment(input: {{id: "{id_}"}}) {selection} }}'
    response = call(mutation)
    assert (response.status, response.error) == (200, call("{ deployments(first: 101) { nodes { id } } }").error)
    assert call(LIST).data["deployments"]["nodes"]


@pytest.mark.parametrize(
    ("operation", "variables"), [("ByName", {"size": "demo"}), ("All", {"size": 500}), ("All", {"size": "all"})]
)
def test_page_sizes_of_another_operation(call: Caller, operation: str, variables: Json) -> None:
    """A variable that is a page size in one operation of a document may be anything in another one."""
    call.create("demo")
    query = """
        query Page($size: Int) { deployments(first: $size) { nodes { name } } }
        query ByName($size: String) { deployments(name: $size) { nodes { name } } }
        query All { deployments { nodes { name } } }
    """
    response = call.post({"query": query, "operationName": operation, "variables": variables})
    assert response.data["deployments"] == {"nodes": [{"name": "demo"}]}


def test_page_sizes_in_a_fragment(call: Caller) -> None:
    """A variable that is a page size in a fragment is checked for each operation that spreads the fragment."""
    query = """
        fragment Some on Query { deployments(last: $size) { nodes { name } } }
        query Page($size: Int) { ... on Query { ...Some } }
    """
    assert call(query, size=101).error["extensions"]["path"] == "size"
    assert call(query, size=100).data


@pytest.mark.parametrize(
    ("arguments", "position"),
    [
        ({"first": 101}, "first"),
        ({"first": -1}, "first"),
        ({"last": 101}, "last"),
        ({"last": -1}, "last"),
        ({"first": 1, "last": 1}, "last"),
        ({"after": ""}, "after"),
        ({"after": "!!"}, "after"),
        ({"after": "M!g"}, "after"),
        ({"after": "KzE"}, "after"),  # +1
        ({"after": "é"}, "after"),
        ({"after": "MA"}, "after"),  # 0
        ({"after": "OTIyMzM3MjAzNjg1NDc3NTgwOA"}, "after"),  # 2**63
        ({"before": "LTE"}, "before"),  # -1
        ({"after": in_database("deployments:0")}, "after"),
        ({"after": in_database("deployments:x")}, "after"),
        ({"after": in_database("deployments:" + "9" * 4301)}, "after"),
        ({"after": in_database(f"deployments:{2**63}")}, "after"),
        ({"after": in_database("deployment_specs:" + "0" * 5000 + "1")}, "after"),
        ({"before": in_database("deployment_specs:-1")}, "before"),
        ({"before": in_database("rollouts:1")}, "before"),
        ({"after": cursor("deployments:1")}, "after"),  # of an earlier version
    ],
)
def test_invalid_arguments(call: Caller, arguments: Json, position: str) -> None:
    """Invalid pagination arguments are an error that names the argument."""
    call.create("first")
    (edge,) = call(LIST).data["deployments"]["edges"]
    id_, _, _ = urlsafe_b64decode(edge["cursor"] + "==").decode().partition(":")
    arguments = {name: value(id_) if callable(value) else value for name, value in arguments.items()}
    for query in (LIST, SPECS):
        response = call.post({"query": query, "variables": arguments}, Accept="application/graphql-response+json")
        error = response.error
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert error["extensions"]["path"] == position
        # Page sizes are checked before the execution, the other arguments in their field.
        assert response.status == 400 or error["path"][-1] in ("deployments", "deploymentSpecs")


def test_cursors_stay_valid(call: Caller) -> None:
    """A cursor stays valid when other items, or its own item, are added or removed."""
    ids = [call.create(f"d{number}") for number in range(5)]
    page = call(LIST, first=2).data["deployments"]
    assert names(page) == ["d4", "d3"]
    call.delete(ids[3])
    call.delete(ids[2])
    call.create("new")
    after = call(LIST, after=page["pageInfo"]["endCursor"]).data["deployments"]
    assert names(after) == ["d1", "d0"]
    before = call(LIST, before=page["pageInfo"]["endCursor"]).data["deployments"]
    assert names(before) == ["new", "d4"]


def test_page_flags_with_a_filter(call: Caller) -> None:
    """`hasNextPage` and `hasPreviousPage` refer to the filtered list."""
    for number in range(3):
        call.create(f"d{number}", project="p1")
        call.create(f"d{number}", project="p2")
    page = call(LIST, first=3, projectId="p1").data["deployments"]
    assert len(page["nodes"]) == 3
    assert not page["pageInfo"]["hasNextPage"]
    page = call(LIST, last=3, projectId="p1").data["deployments"]
    assert not page["pageInfo"]["hasPreviousPage"]


PAGE = (
    "({order}first: $first, last: $last, after: $after, before: $before)"
    " {{ edges {{ cursor node {{ {field} }} }} nodes {{ {field} }}"
    " pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }}"
)


@pytest.mark.parametrize(
    ("path", "field", "order"),
    [
        ("deploymentSpecs", "id", "DeploymentSpecOrder"),
        ("deploymentRollouts", "id", None),
        ("deploymentRollouts nodes deploymentRuns", "id", None),
        ("deploymentSpecs nodes deploymentRuns", "id", "DeploymentRunOrder"),
        ("deploymentRollouts nodes deploymentRuns nodes deploymentRunInstances", "id", "DeploymentRunInstanceOrder"),
        ("deploymentRollouts nodes deploymentRuns nodes deploymentRunInstances nodes history", "id", None),
        ("logs", "instanceName", "DeploymentLogOrder"),
        ("logs nodes lines", "line", "DeploymentLogLineOrder"),
    ],
)
def test_every_connection(call: Caller, clock: Clock, path: str, field: str, order: str | None) -> None:
    """Each connection follows the Relay specification, for every combination of arguments."""
    id_ = call.create(spec={**call.SPEC, "resources": {"replicas": 3}})
    clock.forward(minutes=1)
    call.update(id_, spec={**call.SPEC, "resources": {"replicas": 3}})
    clock.forward(minutes=1)
    *above, name = path.split()
    arguments = "orderBy: $orderBy " if order else ""
    query = "query ($id: UUID!, $first: Int, $last: Int, $after: String, $before: String"
    query += (f", $orderBy: {order}" if order else "") + ") { deployment(id: $id) { "
    query += " { ".join([*above, name]) + PAGE.format(order=arguments, field=field) + " }" * (len(above) + 2)

    def page(**variables: Any) -> Any:
        result = call(query, id=id_, **variables).data["deployment"]
        for step in above:
            result = result[step][0] if step == "nodes" else result[step]
            if isinstance(result, list):
                result = result[0]
        return result[name]

    for direction in [None, {"direction": "ASC"}, {"direction": "DESC"}] if order else [None]:
        order_arguments = {"orderBy": direction} if order else {}
        whole = page(**order_arguments)
        items = [node[field] for node in whole["nodes"]]
        cursors = [edge["cursor"] for edge in whole["edges"]]
        assert len(set(items)) == len(items) == len(set(cursors)) >= 1
        for (first, last), after, before in product(
            [(None, None), (1, None), (2, None), (None, 1), (None, 2)], [None, cursors[0]], [None, cursors[-1]]
        ):
            window = {"first": first, "last": last, "after": after, "before": before}
            result = page(**order_arguments, **window)
            expected, has_next, has_previous = expected_page(items, cursors, **window)
            cursors_of_page = [edge["cursor"] for edge in result["edges"]]
            assert [node[field] for node in result["nodes"]] == expected, window
            assert [edge["node"][field] for edge in result["edges"]] == expected, window
            assert cursors_of_page == [cursors[items.index(item)] for item in expected], window
            assert result["pageInfo"] == {
                "hasNextPage": has_next,
                "hasPreviousPage": has_previous,
                "startCursor": cursors_of_page[0] if cursors_of_page else None,
                "endCursor": cursors_of_page[-1] if cursors_of_page else None,
            }, window


def test_following_a_log(call: Caller, clock: Clock) -> None:
    """A client that follows a log by cursors gets each line once, while the deployment changes and logs more."""
    id_ = call.create()
    query = (
        "query ($id: UUID!, $after: String) { deployment(id: $id) { logs { nodes {"
        " lines(first: 1, after: $after) { edges { cursor node { line message } } } } } } }"
    )
    lines, after = [], None
    for _ in range(12):
        edges = call(query, id=id_, after=after).data["deployment"]["logs"]["nodes"][0]["lines"]["edges"]
        if edges:
            lines.append(edges[0]["node"]["line"])
            after = edges[0]["cursor"]
        clock.forward(seconds=1)
        if len(lines) == 2:
            call.update(id_, spec=call.SPEC)
    assert lines == [1, 2, 3, 4]
