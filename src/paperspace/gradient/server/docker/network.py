"""The network of the containers of all servers of the machine. Containers cannot reach each other."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

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

    Raises:
        EngineUnavailableError: the engine has another network of the same name, or does not respond.
    """
    with api.requests():
        for network in await api.client.networks.list(filters={"name": [f"^{NETWORK}$"]}):
            if _LABEL not in (network["Labels"] or {}):
                raise EngineUnavailableError(
                    f"The Docker network {NETWORK} was not created by this server. "
                    f"Remove it with `docker network rm {NETWORK}`."
                )
            return
        try:
            await api.client.networks.create(_CONFIG)
        except aiodocker.DockerError as error:
            if error.status != HTTPStatus.CONFLICT:  # another server created it at the same time
                raise


async def remove_network(api: Api) -> None:
    """Remove the network, unless containers use it. Another server creates it again when it starts a container."""
    with api.requests():
        for network in await api.client.networks.list(filters={"name": [f"^{NETWORK}$"], "label": [_LABEL]}):
            try:
                await (await api.client.networks.get(network["Id"])).delete()
            except aiodocker.DockerError as error:
                if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT}:
                    raise
