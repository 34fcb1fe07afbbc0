"""Routing as a value: what each change does, and what the files of Envoy contain."""

from __future__ import annotations

import pytest

from paperspace.gradient.server.gateway.endpoints import endpoints, read_endpoints
from paperspace.gradient.server.gateway.route_configuration import read_digests, read_routes, routes
from paperspace.gradient.server.gateway.routing import NO_PASSWORD, PROTOCOLS, Instance, Routing, combine
from paperspace.gradient.server.protection import Access, digest_of

A = Instance("x", "a", 7001, "http", 1)
B = Instance("x", "b", 7002, "http2", 2)
EMPTY = Routing()
ROUTED = EMPTY.route("x", "a", 7001, "http")
BOTH = ROUTED.route("x", "b", 7002, "http2")


ACCESS = Access(digest_of(b"password"))
NEW_ACCESS = Access(digest_of(b"another password"))
PROTECTED = BOTH.protect("x", ACCESS)


def of(*instances: Instance) -> Routing:
    """Return the routing of the deployment x with these instances."""
    return Routing({"x": 0}, frozenset(instances))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        pytest.param(EMPTY.expose("x"), of(), id="an endpoint without instances"),
        pytest.param(ROUTED, of(A), id="routing exposes"),
        pytest.param(BOTH, of(A, B), id="a second instance is later"),
        pytest.param(BOTH.unroute("x", "a"), of(A._replace(draining=True), B), id="it drains"),
        pytest.param(
            BOTH.unroute("x", "a").route("x", "a", 7001, "http"),
            of(A._replace(order=3), B),
            id="routed again, it is last",
        ),
        pytest.param(
            BOTH.route("x", "c", 7001, "http"),
            of(B, Instance("x", "c", 7001, "http", 3)),
            id="a port belongs to the instance that was routed last",
        ),
        pytest.param(ROUTED.route("x", "a", 7009, "http"), of(A._replace(port=7009, order=2)), id="another port"),
        pytest.param(BOTH.forget_instance("x", "a"), of(B), id="an instance is gone"),
        pytest.param(BOTH.forget("x"), EMPTY, id="a deployment is gone, with its instances"),
    ],
)
def test_changes(result: Routing, expected: Routing) -> None:
    """Each change returns the new routing."""
    assert result == expected


@pytest.mark.parametrize(
    "again",
    [
        EMPTY.unroute("x", "a"),
        EMPTY.forget("x"),
        EMPTY.forget_instance("x", "a"),
    ],
)
def test_nothing_to_remove(again: Routing) -> None:
    """To remove what is unknown changes nothing."""
    assert again is EMPTY


def test_what_holds_already() -> None:
    """A change that asks for what holds already returns the same value, and so nothing is written."""
    drained = BOTH.unroute("x", "a")
    assert BOTH.route("x", "a", 7001, "http") is BOTH
    assert BOTH.expose("x") is BOTH
    assert drained.unroute("x", "a") is drained


@pytest.mark.parametrize("id_", ["", "a/b", "a b", "ä", "a\n", "*", "x" * 63])
def test_ids_that_are_no_part_of_a_url(id_: str) -> None:
    """An id that could change the meaning of a path or host is refused."""
    with pytest.raises(ValueError):  # noqa: PT011  # its message is the id
        EMPTY.expose(id_)


@pytest.mark.parametrize(
    ("routing", "digest"),
    [
        pytest.param(PROTECTED, ACCESS.digest, id="protected"),
        pytest.param(PROTECTED.protect("x", NEW_ACCESS), NEW_ACCESS.digest, id="another password"),
        pytest.param(PROTECTED.protect("x", Access(None)), ACCESS.digest, id="the password is unknown now"),
        pytest.param(BOTH.protect("x", Access(None)), NO_PASSWORD, id="the password is unknown from the start"),
        pytest.param(PROTECTED.route("x", "c", 7003, "http"), ACCESS.digest, id="another instance"),
        pytest.param(PROTECTED.unroute_all().expose("x"), ACCESS.digest, id="no instance"),
        pytest.param(PROTECTED.expose("y").protect("y", None), ACCESS.digest, id="another endpoint"),
        pytest.param(PROTECTED.protect("x", None), None, id="public"),
        pytest.param(PROTECTED.forget("x").expose("x"), None, id="removed and added again"),
    ],
)
def test_protection(routing: Routing, digest: str | None) -> None:
    """Only a call of `protect` changes who may use an endpoint."""
    assert routing.digests.get("x") == digest
    assert routing.protect("x", Access(digest) if digest else None) is routing


def test_unknown_protocol() -> None:
    """A protocol without a cluster is refused."""
    with pytest.raises(ValueError, match="tcp"):
        EMPTY.route("x", "a", 7001, "tcp")


@pytest.mark.parametrize(
    ("routing", "protocol"),
    [
        pytest.param(EMPTY.expose("x"), "http", id="no instance"),
        pytest.param(BOTH, "http2", id="the last one"),
        pytest.param(BOTH.unroute("x", "b"), "http", id="the last one that gets requests"),
        pytest.param(BOTH.unroute("x", "a").unroute("x", "b"), "http2", id="all drain"),
        pytest.param(BOTH.route("x", "c", 7003, "http"), "http", id="back to the first protocol"),
    ],
)
def test_protocol(routing: Routing, protocol: str) -> None:
    """Requests use the protocol of the instance that was routed last, among those that get requests."""
    assert routing.protocols() == {"x": protocol}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(ROUTED, BOTH.unroute("x", "a"), {A, B}, id="the old protocol serves until the routes change"),
        pytest.param(BOTH, BOTH.forget("x"), {A, B}, id="a deployment that is removed serves until then"),
        pytest.param(
            BOTH.unroute("x", "a"), BOTH.forget_instance("x", "a"), {B}, id="what drained already is not kept"
        ),
        pytest.param(
            ROUTED,
            ROUTED.route("x", "c", 7001, "http2"),
            {Instance("x", "c", 7001, "http2", 2)},
            id="a container whose port was reused is not kept",
        ),
    ],
)
def test_endpoints_while_routes_change(old: Routing, new: Routing, expected: set[Instance]) -> None:
    """While Envoy switches from the old routes to the new ones, both find their instances."""
    assert combine(old, new) == expected


def test_read_back() -> None:
    """The files contain all that the next server needs: what is read is what was written."""
    routing = BOTH.unroute("x", "a").expose("y").protect("y", ACCESS).route("z", "a", 7003, "http")
    read = [read_endpoints(protocol, endpoints(protocol, routing.instances)) for protocol in PROTOCOLS]
    written = routes(routing, "models.example.com")
    assert Routing(read_routes(written), frozenset.union(*read), read_digests(written)) == routing


def test_slots() -> None:
    """A deployment keeps its slot; a new one gets the lowest that is free and not to be avoided."""
    routing = EMPTY.expose("x").expose("y").expose("z").forget("y")
    assert routing.slots == {"x": 0, "z": 2}
    assert routing.expose("n").slots == {"x": 0, "z": 2, "n": 1}
    assert routing.expose("n", avoid={1, 3}).slots == {"x": 0, "z": 2, "n": 4}


def test_no_port_twice_in_a_file() -> None:
    """Envoy ignores the second of two equal addresses, so no file has one."""
    routing = ROUTED.route("y", "b", 7001, "http")
    [assignment] = endpoints("http", routing.instances)
    assert len(assignment["endpoints"][0]["lb_endpoints"]) == 1
