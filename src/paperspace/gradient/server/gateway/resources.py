"""The resources of Envoy that stay the same: how it starts, and how it connects to containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paperspace.gradient.server.gateway.routing import HTTP2, PROTOCOLS
from paperspace.gradient.server.usage import BOUNDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Resource = dict[str, Any]

BOOTSTRAP = "bootstrap.json"
CLUSTERS = "cds.json"
LISTENERS = "lds.json"
ROUTES = "rds.json"
SECRETS = "sds.json"

NODE = "gradient-gateway"
SUBSET_KEY = "deployment"
IDLE_TIMEOUT = "3600s"  # of a request without any data in either direction; between requests, of a client's connection
HEADERS_TIMEOUT = "60s"  # from the first byte of a request to the end of its headers

# Applications close idle connections after a time of their choice, often two to five seconds. A request that is sent at
# this moment is lost, so the gateway closes them first.
_UPSTREAM_IDLE_TIMEOUT = "1s"
_CONNECT_TIMEOUT = "5s"  # a port without a process refuses at once; only a full backlog takes time
_UNLIMITED = 1_000_000
_UNREAD_COUNTERS = r"vhost\..*_rq_(\d\d\d|[1-4]xx|retry.*|timeout|total)"
_RESERVED_FILES = 128  # for what is not a connection of a client or its connection to a container
_HTTP2_WINDOW = 1024 * 1024  # bytes of a stream that the gateway buffers; the default is 16 MiB


def endpoints_file(protocol: str) -> str:
    """Return the name of the file with the instances of a protocol."""
    return f"eds-{protocol}.json"


def typed(type_: str, /, **fields: Any) -> Resource:
    """Return a message with its type."""
    return {"@type": f"type.googleapis.com/{type_}", **fields}


def source(folder: Path, file: str) -> Resource:
    """Return where Envoy reads a kind of resource. It watches the folder, and reads the file when it is replaced."""
    return {"resource_api_version": "V3", "path_config_source": {"path": str(folder / file)}}


def http2_options() -> Resource:
    """Return the options of HTTP/2 connections."""
    return {"initial_stream_window_size": _HTTP2_WINDOW, "initial_connection_window_size": 16 * _HTTP2_WINDOW}


def bootstrap(folder: Path, socket: Path, program: Path | None) -> Resource:
    """Return what Envoy starts with. A change needs a new process.

    Args:
        folder: The other files.
        socket: The socket of the admin interface.
        program: The program, if the user has named one.
    """
    return {
        "node": {"id": NODE, "cluster": NODE, "metadata": {"program": str(program or "")}},
        "admin": {"address": {"pipe": {"path": str(socket), "mode": 0o600}}},
        "dynamic_resources": {"cds_config": source(folder, CLUSTERS), "lds_config": source(folder, LISTENERS)},
        "stats_flush_on_admin": True,  # `Admin.settle` needs it
        "stats_config": {
            "histogram_bucket_settings": [
                {"match": {"prefix": "vhost."}, "buckets": [bound * 1000 for bound in BOUNDS]}  # milliseconds
            ],
            # Of the counters of each endpoint, only those that `statistics` reads.
            "stats_matcher": {"exclusion_list": {"patterns": [{"safe_regex": {"regex": _UNREAD_COUNTERS}}]}},
        },
    }


def clusters(folder: Path) -> Sequence[Resource]:
    """Return one cluster for each protocol, with the instances of all deployments.

    Not one for each deployment, because Envoy uses an inotify instance for each file, and aborts when the user has none
    left; Linux gives each user 128.
    """
    return [_cluster(folder, protocol) for protocol in PROTOCOLS]


def _cluster(folder: Path, protocol: str) -> Resource:
    limits = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), _UNLIMITED)
    options = {"http2_protocol_options": http2_options()} if protocol == HTTP2 else {"http_protocol_options": {}}
    return typed(
        "envoy.config.cluster.v3.Cluster",
        name=protocol,
        type="EDS",
        eds_cluster_config={"eds_config": source(folder, endpoints_file(protocol))},
        connect_timeout=_CONNECT_TIMEOUT,
        lb_policy="LEAST_REQUEST",
        lb_subset_config={"fallback_policy": "NO_FALLBACK", "subset_selectors": [{"keys": [SUBSET_KEY]}]},
        common_lb_config={"healthy_panic_threshold": {"value": 0}},  # never send requests to draining instances
        circuit_breakers={"thresholds": [limits]},
        upstream_connection_options={
            "tcp_keepalive": {"keepalive_probes": 3, "keepalive_time": 10, "keepalive_interval": 5}
        },
        typed_extension_protocol_options={
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                common_http_protocol_options={"idle_timeout": _UPSTREAM_IDLE_TIMEOUT},
                explicit_http_config=options,
            )
        },
    )


def subset(deployment_id: str) -> Mapping[str, Any]:
    """Return the metadata that connects the route of a deployment with its instances."""
    return {"envoy.lb": {SUBSET_KEY: deployment_id}}


def read_subset(metadata: Mapping[str, Any]) -> str:
    """Return the id of the deployment in the metadata of a route.

    Raises:
        LookupError, TypeError: it is not what `subset` returns.
    """
    return str(metadata["envoy.lb"][SUBSET_KEY])


def concurrency(cores: int) -> int:
    """Return the number of Envoy's threads for requests."""
    return max(1, min(cores, 4))


def connection_limits(files: int) -> Resource:
    """Return the limits of connections of clients, and of connections to containers, as a part of what Envoy starts with.

    Further connections of clients are closed at once. Further requests wait for a connection to a container.

    Without free file descriptors, Envoy uses all CPUs, and cannot connect to containers or read the files of new routes.

    Args:
        files: How many file descriptors Envoy can have.
    """
    limit = max(1, (files - _RESERVED_FILES) // 2)
    type_ = "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    monitor = {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": typed(type_, max_active_downstream_connections=limit),
    }
    to_containers = {f"circuit_breakers.{protocol}.default.max_connections": limit for protocol in PROTOCOLS}
    return {
        "overload_manager": {"resource_monitors": [monitor]},
        "layered_runtime": {"layers": [{"name": "limits", "static_layer": to_containers}]},
    }
