"""An engine in memory, for tests of the controller. The name of an image says what its containers do.

- `good-...`: they respond.
- `silent-...`: they run and never respond.
- `crashing-...`: they exit when they have started.
- `missing-...`: the image does not exist.
- `broken-...`: they cannot be started.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.engine import (
    CloneError,
    Container,
    ContainerKey,
    ContainerMissingError,
    EngineUnavailableError,
    Execution,
    ExecutionError,
    Image,
    ImageError,
    Piece,
    PortInUseError,
    StartError,
    Workload,
)
from paperspace.gradient.server.engines.runtime import UnsupportedSpecError
from paperspace.gradient.server.usage import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence


class MemoryEngine:
    """Containers in a dict.

    Attributes:
        by_id: The containers, running or not.
        images: The image of each container.
        taken_ports: Ports that another program uses.
        available: Whether the engine responds.
        written: The output of each container, also of those that are gone.
        cuts: How often the streams of output were cut.
        exit_codes: The exit code of each program that can be executed in containers.
        refused: The programs that are not executed.
        cpu_seconds: What each container has used; by default none.
        memory: The bytes that each container uses.
        clones: How often `clone` was called.
        in_use: The commits whose files the last removal of files had to keep.
        commits: The commits that each container got.
        files: The deployments with the files of clones.
        forgotten: The deployments whose clones were removed.
    """

    name = "memory"

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.by_id: dict[str, Container] = {}
        self.images: dict[str, str] = {}
        self.taken_ports: set[int] = set()
        self.available = True
        self.written: dict[str, list[Piece]] = {}
        self.cuts = 0
        self.exit_codes: dict[str, int] = {}
        self.refused: set[str] = set()
        self.cpu_seconds: dict[str, float] = {}
        self.memory: dict[str, int] = {}
        self.clones = 0
        self.in_use: frozenset[str] = frozenset()
        self.commits: dict[str, tuple[str, ...]] = {}
        self.files: set[str] = set()
        self.forgotten: list[str] = []
        self._now = now
        self._number = 0
        self._listeners: list[asyncio.Queue[str | None]] = []

    # What happens to containers, without the engine's user

    def running(self) -> list[Container]:
        return [container for container in self.by_id.values() if container.state == "running"]

    def create(self, key: ContainerKey, image: str, host_port: int) -> Container:
        """Create a container, as an interrupted start leaves it."""
        self._number += 1
        container = Container(f"c{self._number}", key, "created", host_port)
        self.by_id[container.id], self.images[container.id] = container, image
        return container

    def exit(self, container_id: str, exit_code: int = 1) -> None:
        container = self.by_id[container_id]
        self.by_id[container_id] = container._replace(state="exited", exit_code=exit_code, finished_at=self._now())
        self._notify(container)

    def lose(self, container_id: str) -> None:
        self._notify(self.by_id.pop(container_id))

    def write(self, container_id: str, *texts: str, stream: int = 0) -> None:
        """Write lines to the output of a container; several at the same time."""
        at = int(self._now().timestamp() * 10**6) * 1000
        self.written.setdefault(container_id, []).extend(Piece(stream, at, text.encode(), True) for text in texts)

    def texts(self, container_id: str) -> list[str]:
        """Return what a container has written."""
        return [piece.text.decode() for piece in self.written.get(container_id, [])]

    def responds(self, port: int) -> bool:
        """Whether something responds on a port."""
        return any(
            container.host_port == port and self.images[container.id].startswith("good") for container in self.running()
        )

    def start_now(self, key: ContainerKey, workload: Workload, host_port: int) -> Container:
        known = [container for container in self.by_id.values() if container.key[:3] == key[:3]]
        container = known[0] if known else self.create(key, workload.image, host_port)
        self.commits.setdefault(container.id, workload.commits)
        if container.state != "created":
            return container
        if host_port in self.taken_ports or any(other.host_port == host_port for other in self.running()):
            del self.by_id[container.id]
            raise PortInUseError(f"port {host_port} is in use")
        if workload.image.startswith("broken"):
            del self.by_id[container.id]
            raise StartError("The command does not exist.")
        self.by_id[container.id] = container._replace(state="running", started_at=self._now())
        self._notify(container)
        if workload.image.startswith("crashing"):
            self.exit(container.id)
        return self.by_id[container.id]

    # The interface of an engine

    async def open(self, server_id: str) -> None:  # noqa: ARG002
        self._check_available()

    async def connect(self, server_id: str) -> None:  # noqa: ARG002
        self._check_available()

    async def close(self) -> None:
        pass

    async def describe(self) -> str:
        self._check_available()
        return "Memory 1.0"

    async def release(self) -> None:
        self._check_available()

    def check(self, workload: Workload) -> Sequence[str]:
        if workload.instance_type == "unknown":
            raise UnsupportedSpecError("There is no instance type 'unknown'.")
        return ["2 of 8 CPUs."] if workload.instance_type == "large" else []

    async def resolve(self, workload: Workload, progress: Callable[[str], None]) -> Image:
        self._check_available()
        if workload.image.startswith("missing"):
            raise ImageError(f"There is no image {workload.image}.", permanent=True)
        progress(f"pulling {workload.image}, 41 %")
        await asyncio.sleep(0)
        return Image(workload.image_id or f"sha256:{workload.image}")

    async def clone(
        self,
        key: ContainerKey,
        workload: Workload,
        progress: Callable[[str], None],
    ) -> tuple[str, ...]:
        """Return a new commit each time, unless there are pinned ones. A URL says what happens, like an image."""
        self._check_available()
        self.clones += 1
        self.files.add(key.deployment_id)
        for repository in workload.repositories:
            progress(f"cloning {repository.name}")
            if "missing" in repository.url:
                raise CloneError(f"There is no repository {repository.name}.", permanent=True)
            if "unreachable" in repository.url:
                raise CloneError("The host does not respond.", permanent=False)
        number = self.clones
        await asyncio.sleep(0)
        return workload.commits or tuple(f"{number}-{repository.name}" for repository in workload.repositories)

    async def remove_unused(self, key: ContainerKey, workload: Workload, in_use: Collection[str]) -> None:  # noqa: ARG002
        self.in_use = frozenset(in_use)

    async def stored(self) -> Collection[str]:
        return self.files

    async def forget(self, deployment_id: str) -> None:
        self.files.discard(deployment_id)
        self.forgotten.append(deployment_id)

    async def containers(self) -> Sequence[Container]:
        self._check_available()
        return list(self.by_id.values())

    async def start(self, key: ContainerKey, workload: Workload, host_port: int) -> Container:
        self._check_available()
        await asyncio.sleep(0)
        return self.start_now(key, workload, host_port)

    async def stop(self, container_id: str, grace: float) -> None:  # noqa: ARG002
        self._check_available()
        await asyncio.sleep(0)
        if container_id in self.by_id and self.by_id[container_id].state == "running":
            self.exit(container_id, 143)

    async def remove(self, container_id: str) -> None:
        self._check_available()
        if container_id in self.by_id:
            self.lose(container_id)

    async def last_lines(self, container_id: str, count: int) -> Sequence[str]:
        self._check_available()
        return ["starting", f"error in {self.images[container_id]}"][:count] if container_id in self.by_id else []

    async def execute(self, container_id: str, command: tuple[str, ...], timeout: float) -> Execution:  # noqa: ARG002
        self._check_available()
        if container_id not in {container.id for container in self.running()}:
            raise ContainerMissingError(container_id)
        if command[0] in self.refused:
            raise ExecutionError("not allowed")
        return Execution(self.exit_codes.get(command[0]), f"output of {command[0]}\n")

    async def output(self, container_id: str, since: int, *, follow: bool) -> AsyncGenerator[Sequence[Piece]]:
        self._check_available()
        position, cuts = 0, self.cuts
        while container_id in self.by_id:
            written = self.written.get(container_id, [])
            exited = self.by_id[container_id].state == "exited"
            if pieces := [piece for piece in written[position:] if piece.at >= since]:
                yield pieces[:3]
                if self.cuts != cuts:
                    raise EngineUnavailableError("the stream was cut")
                if pieces[3:]:
                    yield pieces[3:]
            position = len(written)
            if exited or not follow:
                return
            await asyncio.sleep(0.05)
            if self.cuts != cuts:
                raise EngineUnavailableError("the stream was cut")
        raise ContainerMissingError(container_id)

    async def usage(self, container: Container) -> Usage | None:
        self._check_available()
        await asyncio.sleep(0)
        if container.id not in self.by_id or self.by_id[container.id].state != "running":
            return None
        seconds, memory = self.cpu_seconds.get(container.id, 0.0), self.memory.get(container.id, 0)
        return Usage(self._now(), seconds, memory, container.cpus or 4.0, 2**30)

    async def changes(self) -> AsyncIterator[str | None]:
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._listeners.append(queue)
        queue.put_nowait(None)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.remove(queue)

    def _check_available(self) -> None:
        if not self.available:
            raise EngineUnavailableError("the engine in memory does not respond")

    def _notify(self, container: Container) -> None:
        for listener in self._listeners:
            listener.put_nowait(container.key.deployment_id)


_listeners: list[socket.socket] = []


def close_listeners() -> None:
    """Close the ports of all containers, after the event loops of a test have ended."""
    while _listeners:
        _listeners.pop().close()


class ServingEngine(MemoryEngine):
    """An engine in memory whose good containers respond on their ports.

    Attributes:
        statuses: The status of the response to each path. All others are not found.
        held: Paths whose responses wait for an event.
        received: How many requests to each path were received.
    """

    def __init__(self) -> None:
        super().__init__()
        self.statuses: dict[str, int] = {}
        self.held: dict[str, asyncio.Event] = {}
        self.received = Counter[str]()
        self._servers: dict[str, asyncio.Server] = {}

    async def start(self, key: ContainerKey, workload: Workload, host_port: int) -> Container:
        # The server comes first: the controller may cancel the start as soon as the container runs.
        server = await self._listen(host_port) if workload.image.startswith("good") else None
        try:
            if server:
                await server.start_serving()
            container = await super().start(key, workload, host_port)
        except BaseException:
            if server:
                server.close()
            raise
        if server:
            self._servers[container.id] = server
        return container

    async def _listen(self, port: int) -> asyncio.Server:
        async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError):  # a check was cancelled before it sent its request
                path = (await reader.readuntil(b"\r\n\r\n")).decode().split()[1]
                self.received[path] += 1
                if path in self.held:
                    await self.held[path].wait()
                writer.write(b"HTTP/1.1 %d Status\r\nContent-Length: 0\r\n\r\n" % self.statuses.get(path, 404))
            writer.close()

        try:
            listener = socket.create_server(("127.0.0.1", port))
        except OSError:
            raise PortInUseError(f"port {port} is in use") from None
        _listeners.append(listener)
        # It serves later: a call that is cancelled while it begins to serve would leave it open.
        return await asyncio.start_server(respond, sock=listener, start_serving=False)

    def exit(self, container_id: str, exit_code: int = 1) -> None:
        self._close(container_id)
        super().exit(container_id, exit_code)

    def lose(self, container_id: str) -> None:
        self._close(container_id)
        super().lose(container_id)

    def _close(self, container_id: str) -> None:
        if server := self._servers.pop(container_id, None):
            server.close()
