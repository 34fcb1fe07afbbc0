"""The endpoints of deployments as Envoy's routes (RDS), and back: by path and by host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from paperspace.gradient.server.gateway.basic_auth import protection, read_digest
from paperspace.gradient.server.gateway.resources import Resource, read_subset, subset, typed
from paperspace.gradient.server.gateway.statistics import read_slot, slot_name

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from paperspace.gradient.server.gateway.routing import Routing

NAME = "endpoints"
_LOCALHOST = "localhost"  # all endpoints have a host in this domain

_PATHS = "*"  # the name of the virtual host with the routes by path; no slot has this name
_PREFIX_HEADER = "x-forwarded-prefix"

# A request that no container has received is sent again. One that a container may have received is sent again only if
# its method is safe.
_NOT_RECEIVED = "connect-failure,refused-stream,reset-before-request"
_SAFE_METHODS = "GET|HEAD|OPTIONS"


def endpoint_path(deployment_id: str) -> str:
    """Return the path of an endpoint, without a slash at the end."""
    return f"/endpoints/{deployment_id}"


def endpoint_host(deployment_id: str, domain: str) -> str:
    """Return the host of an endpoint."""
    return f"d{deployment_id}.{domain.lower()}"


def routes(routing: Routing, domain: str | None) -> Sequence[Resource]:
    """Return the routes of all endpoints.

    Args:
        routing: The endpoints and their instances.
        domain: Endpoints have a host in this domain too.
    """
    domains = {_LOCALHOST, (domain or _LOCALHOST).lower()}
    exposed = [
        _Endpoint(id_, routing.slots[id_], protocol, routing.digests.get(id_))
        for id_, protocol in sorted(routing.protocols().items())
    ]
    return [
        typed(
            "envoy.config.route.v3.RouteConfiguration",
            name=NAME,
            ignore_port_in_host_matching=True,
            request_headers_to_remove=["x-envoy-external-address"],
            virtual_hosts=[*(_host(endpoint, domains) for endpoint in exposed), _paths(exposed)],
        )
    ]


class _Endpoint(NamedTuple):
    deployment_id: str
    slot: int
    protocol: str
    digest: str | None
    """None: everyone may use it."""


def read_routes(resources: Any) -> dict[str, int]:
    """Return the slots of the deployments in a route configuration, by id.

    Raises:
        LookupError, TypeError, ValueError: it is not what `routes` returns.
    """
    return {_deployment_id(host): read_slot(host["name"]) for host in _hosts(resources)}


def read_digests(resources: Any) -> dict[str, str]:
    """Return the digests of the passwords of the protected endpoints in a route configuration, by id.

    Raises:
        LookupError, TypeError, ValueError: it is not what `routes` returns.
    """
    digests = {_deployment_id(host): read_digest(host["routes"][0]) for host in _hosts(resources)}
    return {id_: digest for id_, digest in digests.items() if digest}


def read_domain(resources: Any) -> str | None:
    """Return the domain in which the endpoints of a route configuration have a host too. None: there is none, or no endpoint.

    Raises:
        LookupError, TypeError: it is not what `routes` returns.
    """
    domains = {name.partition(".")[2] for host in _hosts(resources) for name in host["domains"] if name[-1] != "."}
    return next(iter(domains - {_LOCALHOST}), None)


def _hosts(resources: Any) -> list[Any]:
    [configuration] = resources
    return [host for host in configuration["virtual_hosts"] if host["name"] != _PATHS]


def _deployment_id(host: Any) -> str:
    return read_subset(host["routes"][0]["route"]["metadata_match"]["filter_metadata"])


def _host(endpoint: _Endpoint, domains: Collection[str]) -> Resource:
    hosts = [endpoint_host(endpoint.deployment_id, domain).lower() for domain in sorted(domains)]
    return {
        "name": slot_name(endpoint.slot),
        "domains": [*hosts, *(f"{host}." for host in hosts)],  # a name in DNS may end with a dot
        "routes": _routes({"prefix": "/"}, endpoint),
        "retry_policy": _retry_policy(_NOT_RECEIVED),
    }


def _paths(exposed: Sequence[_Endpoint]) -> Resource:
    """Return a virtual host that finds the routes of an endpoint by the start of the path.

    In a list of routes, Envoy would look at one after the other: with a hundred endpoints, a request took twice as long.
    """
    field = typed("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", header_name=":path")
    by_path = {endpoint_path(endpoint.deployment_id): _by_path(endpoint) for endpoint in exposed}
    entries = {
        path: {"action": {"name": path, "typed_config": typed("envoy.config.route.v3.RouteList", routes=its_routes)}}
        for path, its_routes in by_path.items()
    }
    tree = {"input": {"name": "path", "typed_config": field}, "prefix_match_map": {"map": entries}}
    return {
        "name": _PATHS,
        "domains": ["*"],
        "retry_policy": _retry_policy(_NOT_RECEIVED),
        **({"matcher": {"matcher_tree": tree}} if entries else {}),  # an empty map is invalid
    }


def _by_path(endpoint: _Endpoint) -> list[Resource]:
    """Return routes that remove the path of the endpoint. Without the final slash, only this one path matches."""
    path = endpoint_path(endpoint.deployment_id)
    header = {"header": {"key": _PREFIX_HEADER, "value": path}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return [
        {**route, "request_headers_to_add": [header]}
        for match in ({"prefix": f"{path}/"}, {"path": path})
        for route in _routes(match, endpoint, prefix_rewrite="/")
    ]


def _routes(match: Resource, endpoint: _Endpoint, **action: Any) -> list[Resource]:
    """Return the routes of a match: first for safe methods, then for all."""
    action |= {
        "cluster": endpoint.protocol,
        "metadata_match": {"filter_metadata": subset(endpoint.deployment_id)},
        "timeout": "0s",  # the idle timeout applies
    }
    common = {"stat_prefix": slot_name(endpoint.slot), **(protection(endpoint.digest) if endpoint.digest else {})}
    safe = {"name": ":method", "string_match": {"safe_regex": {"regex": _SAFE_METHODS}}}
    return [
        {
            "match": {**match, "headers": [safe]},
            "route": {**action, "retry_policy": _retry_policy(f"{_NOT_RECEIVED},reset")},
            **common,
        },
        {"match": match, "route": action, **common},
    ]


def _retry_policy(retry_on: str) -> Resource:
    name = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {
        "retry_on": retry_on,
        "num_retries": 4,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        "host_selection_retry_max_attempts": 5,
        "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": typed(name)}],
    }
