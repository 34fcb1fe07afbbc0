"""`DockerEngine`: the engine of the controller, on the Docker engine of this machine."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import aiodocker

from paperspace.gradient.server.controller.engine import EngineUnavailableError, PortInUseError, StartError
from paperspace.gradient.server.docker import containers, images
from paperspace.gradient.server.docker.address import find_address
from paperspace.gradient.server.docker.api import Api
from paperspace.gradient.server.docker.images import Pull
from paperspace.gradient.server.docker.instance_types import (
    GIB,
    InstanceType,
    Machine,
    fit,
    read_instance_types,
)
from paperspace.gradient.server.docker.references import parse_reference
from paperspace.gradient.server.docker.registries import Registry, read_registries
from paperspace.gradient.server.docker.settings_files import SettingsFileError
from paperspace.gradient.server.engines.runtime import UnsupportedSpecError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from aiodocker.containers import DockerContainer

    from paperspace.gradient.server.controller.engine import Container, ContainerKey, Workload
    from paperspace.gradient.server.docker.address import Address

T = TypeVar("T")

_NOT_FOUND, _CONFLICT, _SERVER_ERROR = 404, 409, 500

# Seconds.
PING_INTERVAL = 1.0
RECONNECT_INTERVAL = 0.25
REMOVAL_TIMEOUT = 60.0
STOP_TIMEOUT = 60.0  # in addition to the grace period

EVENTS = ["start", "die", "oom", "destroy"]

MAX_LINE = 1000  # characters of a line of a log that `last_lines` returns

_PORT_IN_USE = re.compile(r"port is already allocated|address already in use", re.IGNORECASE)
_CANNOT_START = re.compile(r"OCI runtime|failed to create (shim|task)|could not select device driver", re.IGNORECASE)
_NETWORK_MISSING = re.compile(r"network .*not found", re.IGNORECASE)


class Settings(NamedTuple):
    """How the engine runs containers, as in the options of `gradient server`."""

    pull: Pull = Pull.MISSING
    strict_instance_types: bool = False
    instance_types_file: Path | None = None
    registries_file: Path | None = None


DEFAULT_SETTINGS = Settings()


class DockerEngine:
    """Runs containers on the Docker engine of this machine.

    Args:
        settings: How to run containers.
        address: Where the engine is; by default where the `docker` command looks for it.
    """

    name = "docker"

    def __init__(self, settings: Settings = DEFAULT_SETTINGS, address: Address | None = None) -> None:
        self._settings = settings
        self._address = address
        self._server_id = ""
        self._connection: Api | None = None
        self._opened = asyncio.Event()
        self._unavailable = "The connection to the Docker engine is closed."
        self._machine: Machine | None = None
        self._observed: dict[str, Container] = {}
        self._out_of_memory: set[str] = set()
        self._connected_since: datetime | None = None

    async def _api(self) -> Api:
        """Return the connection, after the first attempt to open it.

        Raises:
            EngineUnavailableError: the last attempt failed.
        """
        await self._opened.wait()
        if self._connection is None:
            raise EngineUnavailableError(self._unavailable)
        return self._connection

    async def open(self, server_id: str) -> None:
        """Connect to the engine, and create the network. A connection that is open already is kept until then."""
        self._server_id = server_id
        async with AsyncExitStack() as stack:
            try:
                api = await Api.connect(self._address or find_address(os.environ, Path.home()))
                stack.push_async_callback(api.close)
                with api.requests():
                    self._machine = _machine(await api.client.system.info())
                await _ensure_network(api)
            except EngineUnavailableError as error:
                self._unavailable = str(error)
                self._opened.set()
                raise
            stack.pop_all()
        await self.close()
        self._connection = api
        self._opened.set()

    async def close(self) -> None:
        """Close the connections. The containers keep running."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def check(self, workload: Workload) -> Sequence[str]:
        """Check the image, the instance type and the registry; return what is reduced."""
        try:
            reference = parse_reference(workload.image)
        except ValueError as error:
            raise UnsupportedSpecError(
                f"Image {workload.image!r} is not a valid reference, such as team/app:1.0."
            ) from error
        registry = self._registry(workload)
        if registry is not None and registry.host != reference.registry:
            raise UnsupportedSpecError(
                f"Image {workload.image} is in {reference.registry}, but registry {workload.registry} is {registry.host}. "
                "Credentials are not sent to another host: change `image` or `containerRegistry`."
            )
        _, notes = self._limits(workload)
        if notes and self._settings.strict_instance_types:
            raise UnsupportedSpecError(f"{notes[0]} The server runs with --strict-instance-types.")
        return notes

    def _registry(self, workload: Workload) -> Registry | None:
        """Return the registry of a workload, with its credentials."""
        if workload.registry is None:
            return None
        known = _read(read_registries, self._settings.registries_file)
        if workload.registry not in known:
            raise UnsupportedSpecError(
                f"Unknown registry {workload.registry}; known: {', '.join(known) or 'none'}. "
                "Store it with `gradient server registries set`."
            )
        return known[workload.registry]

    def _limits(self, workload: Workload) -> tuple[InstanceType, Sequence[str]]:
        """Return the limits of a workload, reduced to the machine, and a sentence if they are reduced."""
        name = workload.instance_type
        if name is None:
            return InstanceType(), ()
        known = _read(read_instance_types, self._settings.instance_types_file)
        if name not in known:
            raise UnsupportedSpecError(
                f"Unknown instance type {name}; known: {', '.join(known)}. Add it with `gradient server instance-types set`."
            )
        return (known[name], ()) if self._machine is None else fit(name, known[name], self._machine)

    async def resolve(self, workload: Workload, progress: Callable[[str], None]) -> str:
        """Pull the image if needed, and return its digest or id."""
        return await images.resolve(
            await self._api(), workload, self._registry(workload), self._settings.pull, progress
        )

    # Containers

    async def containers(self) -> Sequence[Container]:
        """Return all containers of this server. Only those that changed are inspected."""
        api = await self._api()
        with api.requests():
            summaries = await api.client.containers.list(
                all=True, filters=json.dumps({"label": [f"{containers.SERVER}={self._server_id}"]})
            )
        observed = await asyncio.gather(*map(self._observe_summary, summaries))
        self._observed = {container.id: container for container in observed if container is not None}
        self._out_of_memory &= self._observed.keys()
        return list(self._observed.values())

    async def _observe_summary(self, summary: DockerContainer) -> Container | None:
        known = self._observed.get(summary.id)
        if known is not None and known.state == containers.container_state(summary["State"]) != "created":
            return known
        return await self._inspect(summary.id)

    async def _inspect(self, name: str) -> Container | None:
        """Return a container by its id or name; None if it does not exist, or is not one of this server."""
        api = await self._api()
        with api.requests():
            try:
                details = await api.client.containers.container(name).show()
            except aiodocker.DockerError as error:
                if error.status == _NOT_FOUND:
                    return None
                raise
        labels = details["Config"]["Labels"] or {}
        key = containers.key_of(labels)
        if key is None or labels.get(containers.SERVER) != self._server_id:
            return None
        return containers.observe(
            key, details, out_of_memory=details["Id"] in self._out_of_memory, connected_since=self._connected_since
        )

    async def start(self, key: ContainerKey, workload: Workload, host_port: int) -> Container:
        """Create and start a container, or return the one with this instance and attempt."""
        name = containers.container_name(key)
        existing = await self._inspect(name)
        if existing is not None and existing.state == "created" and existing.host_port != host_port:
            await self.remove(existing.id)
            existing = None
        if existing is None:
            existing = await self._create(name, key, workload, host_port)
        if existing.state != "created":
            return existing
        await self._start(existing.id, host_port)
        started = await self._inspect(existing.id)
        if started is None:
            raise StartError("The container was removed while it started.")
        return started

    async def _create(self, name: str, key: ContainerKey, workload: Workload, host_port: int) -> Container:
        limits, _ = self._limits(workload)
        config = containers.container_config(self._server_id, key, workload, host_port, limits)
        api = await self._api()
        with api.requests():
            try:
                created = await api.client.containers.create(config, name=name)
            except aiodocker.DockerError as error:
                if error.status == _CONFLICT:
                    raise StartError(
                        f"Another container has the name {name}. Remove it with `docker rm {name}`."
                    ) from error
                if error.status < _SERVER_ERROR:
                    raise StartError(f"The container cannot be created: {_plain(error.message)}") from error
                raise
        container = await self._inspect(created.id)
        if container is None:
            raise StartError("The container was removed while it started.")
        return container

    async def _start(self, container_id: str, host_port: int) -> None:
        """Start a created container. Remove it if it cannot start."""
        api = await self._api()
        for attempt in (1, 2):
            with api.requests():
                try:
                    await api.client.containers.container(container_id).start()
                except aiodocker.DockerError as error:
                    network_missing = attempt == 1 and _NETWORK_MISSING.search(error.message)
                    problem = None if network_missing else _start_error(error, host_port)
                    if not network_missing and problem is None:
                        raise
                else:
                    return
            if problem is not None:
                await self.remove(container_id)
                raise problem
            await _ensure_network(api)  # removed by hand, for example with `docker network prune` while nothing ran

    async def stop(self, container_id: str, grace: float) -> None:
        """Send SIGTERM, and SIGKILL after the grace period; return when the container has exited."""
        api = await self._api()
        with api.requests():
            try:
                async with asyncio.timeout(grace + STOP_TIMEOUT):
                    await api.client.containers.container(container_id).stop(t=math.ceil(grace))
            except aiodocker.DockerError as error:
                if error.status != _NOT_FOUND:
                    raise

    async def remove(self, container_id: str) -> None:
        """Remove a container and its anonymous volumes, also if it runs."""
        api = await self._api()
        with api.requests():
            async with asyncio.timeout(REMOVAL_TIMEOUT):
                while True:
                    try:
                        await api.client.containers.container(container_id).delete(force=True, v=True)
                    except aiodocker.DockerError as error:
                        if error.status == _CONFLICT:  # the removal is in progress
                            await asyncio.sleep(0.1)
                            continue
                        if error.status != _NOT_FOUND:
                            raise
                    return

    async def last_lines(self, container_id: str, count: int) -> Sequence[str]:
        """Return the last lines of both outputs of a container. Long lines are cut."""
        api = await self._api()
        with api.requests():
            try:
                async with asyncio.timeout(STOP_TIMEOUT):
                    pieces = await api.client.containers.container(container_id).log(
                        stdout=True, stderr=True, tail=count
                    )
            except aiodocker.DockerError as error:
                if error.status in {_NOT_FOUND, _CONFLICT}:
                    return []
                raise
        lines = "".join(pieces).splitlines()[-count:]
        return [line[:MAX_LINE] for line in lines]

    # Changes

    async def changes(self) -> AsyncIterator[str | None]:
        """Yield the id of each deployment whose containers changed; None after each connection."""
        filters = {"type": ["container"], "event": EVENTS, "label": [f"{containers.SERVER}={self._server_id}"]}
        while True:
            try:
                api = await self._api()
                await api.select_version()
                async with api.events(filters) as events:
                    self._observed.clear()
                    self._connected_since = datetime.now(UTC)
                    yield None
                    async for event in _checked(events, api):
                        yield self._note(event)
            except EngineUnavailableError:
                pass  # the other methods report it
            finally:
                self._connected_since = None
            await asyncio.sleep(RECONNECT_INTERVAL)

    def _note(self, event: Mapping[str, Any]) -> str | None:
        """Forget what is known of the container of an event, and return the id of its deployment."""
        container_id = event["Actor"]["ID"]
        self._observed.pop(container_id, None)
        if event["Action"] == "oom":
            self._out_of_memory.add(container_id)
        deployment_id: str | None = event["Actor"]["Attributes"].get(containers.DEPLOYMENT)
        return deployment_id


async def describe_engine() -> str:
    """Return the engine of this machine, such as "Docker 28.5.2 (unix:///var/run/docker.sock)".

    Raises:
        EngineUnavailableError: there is no engine that can be used.
    """
    address = find_address(os.environ, Path.home())
    api = await Api.connect(address)
    await api.close()
    return f"{api.product} ({address.url})"


async def _checked(events: AsyncIterator[dict[str, Any]], api: Api) -> AsyncIterator[dict[str, Any]]:
    """Yield events, and ping the engine while there are none: an event stream does not notice a lost connection."""
    while True:
        following = asyncio.ensure_future(anext(events, None))
        try:
            while not (await asyncio.wait({following}, timeout=PING_INTERVAL))[0]:
                await api.ping()
        except BaseException:
            following.cancel()
            raise
        event = await following
        if event is None:
            return
        yield event


async def _ensure_network(api: Api) -> None:
    """Create the network of all containers, if it does not exist."""
    with api.requests():
        for network in await api.client.networks.list(filters={"name": [f"^{containers.NETWORK}$"]}):
            if containers.NETWORK_LABEL not in (network["Labels"] or {}):
                raise EngineUnavailableError(
                    f"The Docker network {containers.NETWORK} was not created by this server. "
                    f"Remove it with `docker network rm {containers.NETWORK}`."
                )
            return
        try:
            await api.client.networks.create(containers.network_config())
        except aiodocker.DockerError as error:
            if error.status != _CONFLICT:  # another server created it at the same time
                raise


def _start_error(error: aiodocker.DockerError, host_port: int) -> PortInUseError | StartError | None:
    """Return the error for a container that did not start; None if the engine itself failed."""
    if _PORT_IN_USE.search(error.message):
        return PortInUseError(f"Port {host_port} of {containers.LOCALHOST} is in use.")
    if error.status < _SERVER_ERROR or _CANNOT_START.search(error.message):
        return StartError(f"The container cannot start: {_plain(error.message)}")
    return None


def _machine(info: Mapping[str, Any]) -> Machine:
    """Return what the machine has, as the engine reports it."""
    has_gpus = "nvidia" in info.get("Runtimes", {}) or any(
        device.get("ID", "").startswith("nvidia.com/gpu") for device in info.get("DiscoveredDevices") or ()
    )
    return Machine(info["NCPU"], info["MemTotal"] / GIB, None if has_gpus else 0)


def _read(function: Callable[[Path | None], dict[str, T]], path: Path | None) -> dict[str, T]:
    try:
        return function(path)
    except SettingsFileError as error:
        raise UnsupportedSpecError(str(error)) from error


def _plain(message: str) -> str:
    """Return the end of a message of the engine, which names the cause: without the layers of its programs before it."""
    text = message.strip().removesuffix(": unknown").rpartition("runtime create failed: ")[2]
    return f"{text.rstrip('.')}."
