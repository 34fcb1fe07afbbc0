"""Commands to the engine about one container: create, start, stop and remove it, read its output and what it uses."""

from __future__ import annotations

import asyncio
import json
import math
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiodocker
import aiohttp

from paperspace.gradient.server.controller.engine import PortInUseError, StartError
from paperspace.gradient.server.docker.api import CONNECTION_FAILED
from paperspace.gradient.server.docker.network import LOCALHOST, ensure_network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from paperspace.gradient.server.docker.api import Api

# Seconds.
REMOVAL_TIMEOUT = 60.0
STOP_TIMEOUT = 60.0  # in addition to the grace period

_EXTRACT_TIMEOUT = aiohttp.ClientTimeout(total=600, sock_connect=5)

MAX_LINE = 1000  # characters of a line of a log that `last_lines` returns

_PORT_IN_USE = re.compile(r"port is already allocated|address already in use", re.IGNORECASE)
CANNOT_START = re.compile(r"OCI runtime|failed to create (shim|task)|could not select device driver", re.IGNORECASE)
_MAX_REPAIRS = 5  # of the network, for one start of a container
_NOT_ONE_NETWORK = re.compile(r"network .*(not found|is ambiguous)", re.IGNORECASE)


async def create(api: Api, name: str, config: Mapping[str, Any]) -> str:
    """Create a container, and return its id.

    Raises:
        StartError: it cannot be created.
    """
    with api.requests():
        try:
            return (await api.client.containers.create(dict(config), name=name)).id
        except aiodocker.DockerError as error:
            if error.status == HTTPStatus.CONFLICT:
                raise StartError(
                    f"Another container has the name {name}. Remove it with `docker rm {name}`."
                ) from error
            if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise StartError(f"The container cannot be created: {plain(error.message)}") from error
            raise


async def extract(api: Api, container_id: str, archive: Path) -> None:
    """Extract an archive into a created container, with paths from its root. Remove the container if this fails.

    The engine extracts it inside of the container, so that a link in it cannot lead to a file of the machine.

    Raises:
        StartError: it cannot be extracted.
    """
    try:
        with archive.open("rb") as stream, api.requests():
            async with api.client.session.put(
                api.url(f"containers/{container_id}/archive"),
                params={"path": "/", "noOverwriteDirNonDir": "1"},
                data=stream,
                headers={"Content-Type": "application/x-tar"},
                timeout=_EXTRACT_TIMEOUT,
            ) as response:
                problem = None if response.status == HTTPStatus.OK else message_of(await response.text())
    except FileNotFoundError:
        problem = "they were removed from this machine."
    if problem is not None:
        await remove(api, container_id)
        raise StartError(f"The files of a repository cannot be copied into the container: {problem}")


def message_of(body: str) -> str:
    """Return the message of a response of the engine."""
    try:
        return plain(str(json.loads(body)["message"]))
    except (ValueError, LookupError, TypeError):
        return "the engine has failed."


async def start(api: Api, container_id: str, host_port: int) -> None:
    """Start a created container. Remove it if it cannot start, so that the next attempt has a new one.

    An engine that was killed during the start of a container can never start it again, for example.

    Raises:
        PortInUseError: the port is in use.
        StartError: it cannot start.
    """
    with api.requests():
        try:
            await _start(api, container_id)
        except aiodocker.DockerError as error:
            if error.status == CONNECTION_FAILED:
                raise  # it may run
            await remove(api, container_id)
            raise (_start_error(error, host_port) or error) from error


async def _start(api: Api, container_id: str) -> None:
    """Start a container. If its network was removed, for example with `docker network prune`, or exists twice, repair that.

    Several times: other servers repair it at the same time, and may create another one meanwhile.
    """
    container = api.client.containers.container(container_id)
    for _ in range(_MAX_REPAIRS):
        try:
            await container.start()
        except aiodocker.DockerError as error:
            if not _NOT_ONE_NETWORK.search(error.message):
                raise
        else:
            return
        await ensure_network(api)
    await container.start()


def _start_error(error: aiodocker.DockerError, host_port: int) -> PortInUseError | StartError | None:
    """Return the error for a container that did not start; None if the engine itself failed."""
    if _PORT_IN_USE.search(error.message):
        return PortInUseError(f"Port {host_port} of {LOCALHOST} is in use.")
    if error.status < HTTPStatus.INTERNAL_SERVER_ERROR or CANNOT_START.search(error.message):
        return StartError(f"The container cannot start: {plain(error.message)}")
    return None


def plain(message: str) -> str:
    """Return the end of a message of the engine, which names the cause: without the layers of its programs before it."""
    text = message.strip().removesuffix(": unknown").rpartition("runtime create failed: ")[2]
    return f"{text.rstrip('.')}."


async def stop(api: Api, container_id: str, grace: float) -> None:
    """Send SIGTERM, and SIGKILL after the grace period; return when the container has exited."""
    with api.requests():
        try:
            async with asyncio.timeout(grace + STOP_TIMEOUT):
                await api.client.containers.container(container_id).stop(t=math.ceil(grace))
        except aiodocker.DockerError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise


async def remove(api: Api, container_id: str) -> None:
    """Remove a container and its anonymous volumes, also if it runs."""
    with api.requests():
        async with asyncio.timeout(REMOVAL_TIMEOUT):
            while True:
                try:
                    await api.client.containers.container(container_id).delete(force=True, v=True)
                except aiodocker.DockerError as error:
                    if error.status == HTTPStatus.CONFLICT:  # the removal is in progress
                        await asyncio.sleep(0.1)
                        continue
                    if error.status != HTTPStatus.NOT_FOUND:
                        raise
                return


async def statistics(api: Api, container_id: str) -> Mapping[str, Any] | None:
    """Return the statistics of a container, of this moment. None: it does not exist, or ends at the same time."""
    url = api.url(f"containers/{container_id}/stats")
    # Without `one-shot`, the engine waits a second for a second reading.
    with api.requests():
        async with api.client.session.get(url, params={"stream": "false", "one-shot": "true"}) as response:
            if response.status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                return None
            response.raise_for_status()
            body: Mapping[str, Any] | None = await response.json()
            return body


async def last_lines(api: Api, container_id: str, count: int) -> Sequence[str]:
    """Return the last lines of both outputs of a container. Long lines are cut."""
    with api.requests():
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                pieces = await api.client.containers.container(container_id).log(stdout=True, stderr=True, tail=count)
        except aiodocker.DockerError as error:
            if error.status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                return []
            raise
    lines = "".join(pieces).splitlines()[-count:]
    return [line[:MAX_LINE] for line in lines]
