"""The endpoints of deployments as Envoy's routes (RDS), and back: by path and by host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paperspace.gradient.server.gateway.resources import Resource, subset, typed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME = "endpoints"

_PATHS = "*"  # the name of the virtual host with the routes by path; no id can be equal to it
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


def routes(protocols: Mapping[str, str], domain: str | None) -> Sequence[Resource]:
    """Return the routes of all endpoints.

    Args:
        protocols: The protocol of each deployment.
        domain: Endpoints have a host in this domain too.
    """
    domains = ["localhost", *([domain] if domain else [])]
    ordered = sorted(protocols.items())
    hosts = [_host(id_, domains, _routes({"prefix": "/"}, id_, protocol)) for id_, protocol in ordered]
    paths = {endpoint_path(id_): _by_path(id_, protocol) for id_, protocol in ordered}
    return [
        typed(
            "envoy.config.route.v3.RouteConfiguration",
            name=NAME,
            ignore_port_in_host_matching=True,
            request_headers_to_remove=["x-envoy-external-address"],
            virtual_hosts=[*hosts, _paths(paths)],
        )
    ]


def read_routes(resources: Any) -> frozenset[str]:
    """Return the ids of the deployments in a route configuration.

    Raises:
        LookupError, TypeError, ValueError: it is not what `routes` returns.
    """
    [configuration] = resources
    return frozenset(str(host["name"]) for host in configuration["virtual_hosts"]) - {_PATHS}


def _host(deployment_id: str, domains: list[str], its_routes: list[Resource]) -> Resource:
    hosts = [endpoint_host(deployment_id, domain).lower() for domain in domains]
    return {"name": deployment_id, "domains": hosts, "routes": its_routes, "retry_policy": _retry_policy(_NOT_RECEIVED)}


def _paths(by_path: Mapping[str, list[Resource]]) -> Resource:
    """Return a virtual host that finds the routes of an endpoint by the start of the path.

    In a list of routes, Envoy would look at one after the other: with a hundred endpoints, a request took twice as long.
    """
    field = typed("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", header_name=":path")
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


def _by_path(deployment_id: str, protocol: str) -> list[Resource]:
    """Return routes that remove the path of the endpoint. Without the final slash, only this one path matches."""
    path = endpoint_path(deployment_id)
    header = {"header": {"key": _PREFIX_HEADER, "value": path}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return [
        {**route, "request_headers_to_add": [header]}
        for match in ({"prefix": f"{path}/"}, {"path": path})
        for route in _routes(match, deployment_id, protocol, prefix_rewrite="/")
    ]


def _routes(match: Resource, deployment_id: str, protocol: str, **action: Any) -> list[Resource]:
    """Return the routes of a match: first for safe methods, then for all."""
    action |= {
        "cluster": protocol,
        "metadata_match": {"filter_metadata": subset(deployment_id)},
        "timeout": "0s",  # the idle timeout applies
    }
    safe = {"name": ":method", "string_match": {"safe_regex": {"regex": _SAFE_METHODS}}}
    return [
        {
            "match": {**match, "headers": [safe]},
            "route": {**action, "retry_policy": _retry_policy(f"{_NOT_RECEIVED},reset")},
            "stat_prefix": deployment_id,
        },
        {"match": match, "route": action, "stat_prefix": deployment_id},
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
