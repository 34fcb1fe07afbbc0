"""`DockerEngine`: the engine of the controller, on the Docker engine of this machine."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import AsyncExitStack, aclosing
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiodocker

from paperspace.gradient._shared.daemon_threads import in_daemon_thread
from paperspace.gradient.server.controller.engine import EngineUnavailableError, ExecutionError, StartError
from paperspace.gradient.server.docker import commands, containers, images, requirements
from paperspace.gradient.server.docker.address import find_address
from paperspace.gradient.server.docker.api import Api, RefusedError
from paperspace.gradient.server.docker.clones import Clones, deployments_of, owner_of
from paperspace.gradient.server.docker.executions import Executions
from paperspace.gradient.server.docker.instance_types import machine_of
from paperspace.gradient.server.docker.network import ensure_network, remove_network
from paperspace.gradient.server.docker.output import read_output
from paperspace.gradient.server.docker.requirements import DEFAULT_SETTINGS
from paperspace.gradient.server.docker.usage import usage_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence

    from aiodocker.containers import DockerContainer

    from paperspace.gradient.server.controller.engine import Container, ContainerKey, Execution, Image, Piece, Workload
    from paperspace.gradient.server.docker.address import Address
    from paperspace.gradient.server.docker.instance_types import Machine
    from paperspace.gradient.server.docker.requirements import Settings
    from paperspace.gradient.server.usage import Usage

RECONNECT_INTERVAL = 0.25  # seconds
EVENTS = ["start", "die", "oom", "update", "destroy"]


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
        self._clones = Clones(settings.repositories, settings.repository_limit, settings.repository_timeout)
        self._observed: dict[str, Container] = {}
        self._inspections: dict[str, object] = {}
        """Those that run, of containers that have not changed since they began."""
        self._out_of_memory: set[str] = set()
        self._connected_since: datetime | None = None  # by the engine's clock
        self._seen_ends: set[str] = set()
        """The containers whose end was received as an event since then. The engine's clock may have been set back."""
        self._executions = Executions()
        self._refusal: str | None = None
        """Why the engine sends no events. None: it sends them, or does not respond at all."""

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
        await self._clones.clean()
        await self._open(server_id, ensure_network)

    async def connect(self, server_id: str) -> None:
        """Connect to the engine."""
        await self._open(server_id)

    async def _open(self, server_id: str, prepare: Callable[[Api], Awaitable[None]] | None = None) -> None:
        self._server_id = server_id
        try:
            await self._replace_connection(prepare)
        except EngineUnavailableError as error:
            self._unavailable = str(error)
            raise
        finally:
            self._opened.set()  # whatever happened, nothing waits forever

    async def _replace_connection(self, prepare: Callable[[Api], Awaitable[None]] | None) -> None:
        async with AsyncExitStack() as stack:
            api = await Api.connect(self._address or find_address(os.environ, Path.home()))
            stack.push_async_callback(api.close)
            self._machine = machine_of(await _system_info(api))
            if prepare:
                await prepare(api)
            await self.close()
            self._connection = api
            stack.pop_all()

    async def close(self) -> None:
        """Close the connections. The containers keep running."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def describe(self) -> str:
        """Return the product and the address, if the engine responds."""
        api = await self._api()
        await api.ping()
        return api.describe()

    async def release(self) -> None:
        """Remove the network, unless containers use it, and the clones of a server that was killed."""
        await self._clones.clean()
        await remove_network(await self._api())

    def check(self, workload: Workload) -> Sequence[str]:
        """Check what the workload needs; return what is reduced."""
        return requirements.check(workload, self._settings, self._machine)

    async def resolve(self, workload: Workload, progress: Callable[[str], None]) -> Image:
        """Pull the image if needed, and return its digest or id."""
        registry = requirements.registry_of(workload, self._settings)
        return await images.resolve(await self._api(), workload, registry, self._settings.pull, progress)

    async def clone(self, key: ContainerKey, workload: Workload, progress: Callable[[str], None]) -> tuple[str, ...]:
        """Clone the repositories if needed, and return their commits."""
        commits: list[str] = []
        for index, remote in enumerate(requirements.remotes_of(workload, self._settings)):
            progress(f"Cloning {remote.name} from {remote.url}.")
            pinned = workload.commits[index] if workload.commits else None
            owner = owner_of(key.deployment_id, workload.dataset)
            commits.append(await self._clones.clone(remote, owner, pinned))
        return tuple(commits)

    async def remove_unused(self, key: ContainerKey, workload: Workload, in_use: Collection[str]) -> None:
        """Remove the archives of old commits of the repositories."""
        owner = owner_of(key.deployment_id, workload.dataset)
        for remote in requirements.remotes_of(workload, self._settings):
            self._clones.remove_unused(remote, owner, in_use)

    async def stored(self) -> Collection[str]:
        """Return the ids of the deployments with archives of repositories."""
        return deployments_of(await self._clones.owners())

    async def forget(self, deployment_id: str) -> None:
        """Remove the archives of the repositories of a deployment."""
        await self._clones.forget(owner_of(deployment_id))

    # Containers

    async def containers(self) -> Sequence[Container]:
        """Return all containers of this server. Only those that changed are inspected."""
        api = await self._api()
        with api.requests():
            summaries = await api.client.containers.list(
                all=True, filters=json.dumps({"label": [f"{containers.SERVER}={self._server_id}"]})
            )
        if self._refusal is not None:  # the ends of containers would be missed, and each would count as unseen
            raise EngineUnavailableError(self._refusal)
        observed = await asyncio.gather(*map(self._observe_summary, summaries))
        found = {container.id: container for container in observed if container is not None}
        self._observed = {id_: container for id_, container in self._observed.items() if id_ in found}
        self._out_of_memory &= found.keys()
        self._seen_ends &= found.keys()
        self._executions.forget_others(found.keys())
        return list(found.values())

    async def _observe_summary(self, summary: DockerContainer) -> Container | None:
        known = self._observed.get(summary.id)
        if known is not None and known.state == containers.container_state(summary["State"]) != "created":
            return known
        inspection = self._inspections[summary.id] = object()
        try:
            container = await self._inspect(summary.id)
        finally:
            unchanged = self._inspections.pop(summary.id, None) is inspection
        if unchanged and container is not None:
            self._observed[summary.id] = container
        return container

    async def _inspect(self, name: str) -> Container | None:
        """Return a container by its id or name; None if it does not exist, or is not one of this server."""
        api = await self._api()
        with api.requests():
            try:
                details = await api.client.containers.container(name).show()
            except aiodocker.DockerError as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return None
                raise
        key = containers.key_of(self._server_id, details)
        if key is None:
            return None
        container = containers.observe(
            key, details, out_of_memory=details["Id"] in self._out_of_memory, connected_since=self._connected_since
        )
        return container._replace(ended_unseen=False) if container.id in self._seen_ends else container

    async def start(self, key: ContainerKey, workload: Workload, host_port: int) -> Container:
        """Create and start a container, or return the one with this instance and attempt."""
        name = containers.container_name(key)
        existing = await self._inspect(name)
        if existing is not None and not await self._is_usable(existing, host_port):
            await self.remove(existing.id)
            existing = None
        if existing is None:
            existing = await self._create(name, key, workload, host_port)
        if existing.state != "created":
            return existing
        await self._copy_repositories(existing.id, key, workload)
        await commands.start(await self._api(), existing.id, host_port)
        return await self._inspect_new(existing.id)

    async def _is_usable(self, container: Container, host_port: int) -> bool:
        """Whether a container can be the one to start. The engine may have one that it never lists, after its disk was full."""
        if container.state == "created":
            return container.host_port == host_port
        return any(listed.id == container.id for listed in await self.containers())

    async def _create(self, name: str, key: ContainerKey, workload: Workload, host_port: int) -> Container:
        needs = await in_daemon_thread(requirements.needs_of, workload, self._settings, self._machine)
        api = await self._api()
        if workload.image_id is not None:
            present = await images.present_as(api, workload.image_id)
            workload = workload._replace(image_id=present or workload.image_id)
        config = containers.container_config(self._server_id, key, workload, needs, host_port)
        return await self._inspect_new(await commands.create(api, name, config))

    async def _copy_repositories(self, container_id: str, key: ContainerKey, workload: Workload) -> None:
        """Copy the files of the repositories into a container, which may have some of them already."""
        owner = owner_of(key.deployment_id, workload.dataset)
        remotes = requirements.remotes_of(workload, self._settings)
        for remote, commit in zip(remotes, workload.commits, strict=True):
            await commands.extract(await self._api(), container_id, self._clones.archive(remote, owner, commit))

    async def _inspect_new(self, container_id: str) -> Container:
        container = await self._inspect(container_id)
        if container is None:
            raise StartError("The container was removed while it started.")
        return container

    async def stop(self, container_id: str, grace: float) -> None:
        """Send SIGTERM, and SIGKILL after the grace period; return when the container has exited."""
        await commands.stop(await self._api(), container_id, grace)

    async def remove(self, container_id: str) -> None:
        """Remove a container and its anonymous volumes, also if it runs."""
        await commands.remove(await self._api(), container_id)

    async def execute(self, container_id: str, command: tuple[str, ...], timeout: float) -> Execution:
        """Run a command in a running container with the exec API of the engine."""
        try:
            return await self._executions.run(await self._api(), container_id, command, timeout)
        except RefusedError as error:
            raise ExecutionError(str(error).rstrip(".")) from error

    async def output(self, container_id: str, since: int, *, follow: bool) -> AsyncGenerator[Sequence[Piece]]:
        """Yield the output of a container, with both streams in the order in which the engine stored them."""
        async with aclosing(read_output(await self._api(), container_id, since, follow=follow)) as pieces:
            async for some in pieces:
                yield some

    async def last_lines(self, container_id: str, count: int) -> Sequence[str]:
        """Return the last lines of both outputs of a container. Long lines are cut."""
        return await commands.last_lines(await self._api(), container_id, count)

    async def usage(self, container: Container) -> Usage | None:
        """Return what a container uses. None: it does not run, or does not exist."""
        return usage_of(await commands.statistics(await self._api(), container.id), container.cpus)

    # Changes

    async def changes(self) -> AsyncIterator[str | None]:
        """Yield the id of each deployment whose containers changed; None after each connection."""
        try:
            while True:
                async with aclosing(self._changes_of_connection()) as changes:
                    async for change in changes:
                        yield change
                await asyncio.sleep(RECONNECT_INTERVAL)
        finally:
            self._refusal = None  # without a controller, nothing depends on the events

    async def _changes_of_connection(self) -> AsyncGenerator[str | None]:
        """Yield changes until the connection is lost."""
        filters = {"type": ["container"], "event": EVENTS, "label": [f"{containers.SERVER}={self._server_id}"]}
        try:
            api = await self._api()
            await api.select_version()
            async with api.events(filters) as events:
                self._observed.clear()
                self._inspections.clear()
                self._seen_ends.clear()
                info = await _system_info(api)
                # Its times are compared with those of the containers: our clock may be another one.
                self._connected_since = datetime.fromisoformat(info["SystemTime"])
                self._machine = machine_of(info)  # after a restart, the engine may have other CPUs
                self._refusal = None
                yield None
                async for event in events:
                    yield self._note(event)
        except RefusedError as error:
            self._refusal = str(error)
        except EngineUnavailableError:
            pass  # the other methods report it
        finally:
            self._connected_since = None

    def _note(self, event: Mapping[str, Any]) -> str | None:
        """Forget what is known of the container of an event, and return the id of its deployment."""
        container_id = event["Actor"]["ID"]
        self._observed.pop(container_id, None)
        self._inspections.pop(container_id, None)
        match event["Action"]:
            case "oom":
                self._out_of_memory.add(container_id)
            case "die":
                self._seen_ends.add(container_id)
        deployment_id: str | None = event["Actor"]["Attributes"].get(containers.DEPLOYMENT)
        return deployment_id


async def _system_info(api: Api) -> Mapping[str, Any]:
    with api.requests():
        info: Mapping[str, Any] = await api.client.system.info()
        return info


async def describe_engine() -> str:
    """Return the engine of this machine, such as "Docker 28.5.2 (unix:///var/run/docker.sock)".

    Raises:
        EngineUnavailableError: there is no engine that can be used.
    """
    api = await Api.connect(find_address(os.environ, Path.home()))
    await api.close()
    return api.describe()
