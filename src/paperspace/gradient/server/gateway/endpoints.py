"""The instances as Envoy's endpoints (EDS), and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paperspace.gradient.server.gateway.resources import Resource, subset, typed
from paperspace.gradient.server.gateway.routing import Instance

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_METADATA = "gradient"  # of our own; `envoy.lb` has what Envoy needs


def endpoints(protocol: str, instances: Iterable[Instance]) -> Sequence[Resource]:
    """Return the endpoints of a protocol's cluster."""
    hosts = [_host(instance) for instance in sorted(instances) if instance.protocol == protocol]
    name = "envoy.config.endpoint.v3.ClusterLoadAssignment"
    return [typed(name, cluster_name=protocol, endpoints=[{"lb_endpoints": hosts}])]


def _host(instance: Instance) -> Resource:
    return {
        "endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": instance.port}}},
        "health_status": "DRAINING" if instance.draining else "HEALTHY",
        "metadata": {
            "filter_metadata": {
                **subset(instance.deployment_id),
                _METADATA: {"deployment": instance.deployment_id, "instance": instance.id, "order": instance.order},
            }
        },
    }


def read_endpoints(protocol: str, resources: Any) -> frozenset[Instance]:
    """Return the instances in the endpoints of a protocol.

    Raises:
        LookupError, TypeError, ValueError: they are not what `endpoints` returns.
    """
    [assignment] = resources
    [group] = assignment["endpoints"]
    return frozenset(_instance(protocol, host) for host in group["lb_endpoints"])


def _instance(protocol: str, host: Any) -> Instance:
    ours = host["metadata"]["filter_metadata"][_METADATA]
    return Instance(
        deployment_id=str(ours["deployment"]),
        id=str(ours["instance"]),
        port=int(host["endpoint"]["address"]["socket_address"]["port_value"]),
        protocol=protocol,
        order=int(ours["order"]),
        draining=host["health_status"] == "DRAINING",
    )
