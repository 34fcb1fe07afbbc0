"""Containers: what one is created from, and what is observed of it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from paperspace.gradient.server.controller.engine import Container, ContainerKey
from paperspace.gradient.server.docker.instance_types import GIB
from paperspace.gradient.server.docker.network import LOCALHOST, NETWORK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from paperspace.gradient.server.controller.engine import Workload
    from paperspace.gradient.server.docker.instance_types import InstanceType
    from paperspace.gradient.server.docker.requirements import Needs

# All labels of our containers. They never change.
SERVER = "gradient.server"
DEPLOYMENT = "gradient.deployment"
INSTANCE = "gradient.instance"
ATTEMPT = "gradient.attempt"
TEMPLATE = "gradient.template"
PORT = "gradient.port"

# The engine keeps at most this much of the output of a container.
LOG_CONFIG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}


def container_name(key: ContainerKey) -> str:
    """Return the name of a container. The engine refuses a second one with the same name."""
    return f"gradient-{key.instance_id}-{key.attempt}"


def container_config(
    server_id: str, key: ContainerKey, workload: Workload, needs: Needs, host_port: int
) -> dict[str, Any]:
    """Return the request that creates a container."""
    port = f"{workload.port}/tcp"
    check_ports = [f"{number}/tcp" for number in workload.check_ports]
    config: dict[str, Any] = {
        "Image": workload.image_id or workload.image,
        "Env": needs.env,
        "ExposedPorts": {port: {}, **{other: {} for other in check_ports}},
        "Healthcheck": {"Test": ["NONE"]},  # the image's own is not used, and would run a process all the time
        "Labels": {
            SERVER: server_id,
            DEPLOYMENT: key.deployment_id,
            INSTANCE: key.instance_id,
            ATTEMPT: str(key.attempt),
            TEMPLATE: key.template,
            PORT: str(host_port),
        },
        "HostConfig": {
            "NetworkMode": NETWORK,
            "PortBindings": {
                port: [{"HostIp": LOCALHOST, "HostPort": str(host_port)}],
                # Any free port: it is read from each running container, and nothing else connects to it.
                **{other: [{"HostIp": LOCALHOST, "HostPort": ""}] for other in check_ports},
            },
            "LogConfig": LOG_CONFIG,
            "Mounts": needs.mounts,
            **_limits(needs.limits),
        },
    }
    if workload.command:  # as in Kubernetes: it replaces the entrypoint of the image, and the image's arguments with it
        config |= {"Entrypoint": list(workload.command), "Cmd": []}
    return config


def _limits(limits: InstanceType) -> dict[str, Any]:
    """Return the limits of an instance type. A container that reaches its memory limit is killed; it does not swap."""
    config: dict[str, Any] = {}
    if limits.cpus is not None:
        config["NanoCpus"] = int(limits.cpus * 10**9)
    if limits.memory is not None:
        memory = int(limits.memory * GIB)
        config |= {"Memory": memory, "MemorySwap": memory}
    if limits.devices:
        config["DeviceRequests"] = [{"DeviceIDs": list(limits.devices), "Capabilities": [["gpu"]]}]
    elif limits.gpus:
        config["DeviceRequests"] = [{"Count": limits.gpus, "Capabilities": [["gpu"]]}]
    return config


def key_of(server_id: str, details: Mapping[str, Any]) -> ContainerKey | None:
    """Return what identifies a container; None if it is not one of this server.

    Labels are not enough: `docker commit` copies them to an image, and all containers of this image have them. Only ours is
    published on the port that they name.

    Args:
        server_id: The id of the server.
        details: The engine's response to "inspect".
    """
    labels = details["Config"]["Labels"] or {}
    published = [binding for bindings in (details["HostConfig"]["PortBindings"] or {}).values() for binding in bindings]
    if labels.get(SERVER) != server_id or {"HostIp": LOCALHOST, "HostPort": labels.get(PORT)} not in published:
        return None
    try:
        return ContainerKey(labels[DEPLOYMENT], labels[INSTANCE], int(labels[ATTEMPT]), labels[TEMPLATE])
    except (KeyError, ValueError):
        return None


def observe(
    key: ContainerKey, details: Mapping[str, Any], *, out_of_memory: bool, connected_since: datetime | None
) -> Container:
    """Return what is known of a container.

    Args:
        key: What identifies it.
        details: The engine's response to "inspect".
        out_of_memory: Whether the engine reported that it ran out of memory.
        connected_since: When the events of the engine began to arrive, by the engine's clock. None: they do not arrive.
    """
    state = details["State"]
    kind = container_state(state["Status"])
    finished_at = _time(state["FinishedAt"]) if kind == "exited" else None
    return Container(
        id=details["Id"],
        key=key,
        state=kind,
        host_port=_host_port(details["Config"]["Labels"]),
        started_at=_time(state["StartedAt"]),
        finished_at=finished_at,
        exit_code=state["ExitCode"] if kind == "exited" else None,
        out_of_memory=kind == "exited" and (out_of_memory or bool(state["OOMKilled"])),
        ended_unseen=finished_at is not None and (connected_since is None or finished_at < connected_since),
        cpus=details["HostConfig"].get("NanoCpus", 0) / 10**9 or None,
        check_ports=tuple(_published(details["NetworkSettings"].get("Ports") or {})) if kind == "running" else (),
    )


def container_state(status: str) -> Literal["created", "running", "exited"]:
    """Return the state for a status of the engine."""
    match status:
        case "created":
            return "created"
        case "running" | "paused" | "restarting":
            return "running"
        case _:  # exited, dead, removing
            return "exited"


def _published(ports: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """Yield the published ports of a container, each with its port of this machine."""
    for name, bindings in ports.items():
        number, _, kind = name.partition("/")
        if kind == "tcp" and bindings:
            yield int(number), int(bindings[0]["HostPort"])


def _host_port(labels: Mapping[str, str]) -> int | None:
    port = labels.get(PORT, "")
    return int(port) if port.isdecimal() else None


def _time(text: str) -> datetime | None:
    """Parse a time of the engine, which has nanoseconds; the year 1 means never."""
    if text.startswith("0001-"):
        return None
    seconds, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{seconds}.{fraction[:6]:0<6}+00:00")
