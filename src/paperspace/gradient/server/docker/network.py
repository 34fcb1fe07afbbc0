"""The network of the containers of all servers of the machine. Containers cannot reach each other."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiodocker

from paperspace.gradient.server.controller.engine import EngineUnavailableError

if TYPE_CHECKING:
    from paperspace.gradient.server.docker.api import Api

LOCALHOST = "127.0.0.1"
NETWORK = "gradient"
_LABEL = "gradient.network"

_CONFIG = {
    "Name": NETWORK,
    "CheckDuplicate": True,
    "Driver": "bridge",
    "Labels": {_LABEL: "1"},
    "Options": {
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.host_binding_ipv4": LOCALHOST,
    },
}


async def ensure_network(api: Api) -> None:
    """Create the network, if it does not exist.

    The engine may create several networks of one name, if they are created at the same time. Then no container can start.

    Raises:
        EngineUnavailableError: the engine has another network of the same name, or does not respond.
    """
    async with api.network_lock:
        with api.requests():
            if not await _own_networks(api):
                try:
                    await api.client.networks.create(_CONFIG)
                except aiodocker.DockerError as error:
                    if error.status != HTTPStatus.CONFLICT:  # another server created it at the same time
                        raise
            await _remove_duplicates(api)


async def _own_networks(api: Api) -> list[dict[str, Any]]:
    """Return the networks of our name: one, or several after a race. The first is the oldest."""
    networks: list[dict[str, Any]] = await api.client.networks.list(filters={"name": [f"^{NETWORK}$"]})
    if any(_LABEL not in (network["Labels"] or {}) for network in networks):
        raise EngineUnavailableError(
            f"The Docker network {NETWORK} was not created by this server. Remove it with `docker network rm {NETWORK}`."
        )
    return sorted(networks, key=lambda network: str(network["Created"]))


async def _remove_duplicates(api: Api) -> None:
    """Remove all networks but one: the oldest, which other servers keep too, or one that containers use."""
    networks = await _own_networks(api)
    surplus = len(networks) - 1
    for network in reversed(networks):
        if surplus > 0 and await _remove(api, network["Id"]):
            surplus -= 1


async def remove_network(api: Api) -> None:
    """Remove the network, unless containers use it. Another server creates it again when it starts a container."""
    with api.requests():
        for network in await api.client.networks.list(filters={"name": [f"^{NETWORK}$"], "label": [_LABEL]}):
            await _remove(api, network["Id"])


async def _remove(api: Api, network_id: str) -> bool:
    """Remove a network; return whether it is gone. Containers may use it."""
    try:
        await (await api.client.networks.get(network_id)).delete()
    except aiodocker.DockerError as error:
        if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT}:
            raise
        return error.status == HTTPStatus.NOT_FOUND
    return True
