"""Engine: the interface of what runs containers, such as Docker.

An engine starts, stops and lists containers. When a container has to start or stop is decided by the controller. All
messages of the errors are sentences for users: they are shown in the states of instances and in the `error` of specs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
    from datetime import datetime

    from paperspace.gradient.server.usage import Usage


class Model(NamedTuple):
    """A model that the container can read."""

    id: str
    path: str
    """Where the container reads it."""


class Repository(NamedTuple):
    """A git repository whose files the container gets."""

    name: str
    url: str
    """It may have credentials."""
    ref: str | None
    """A branch, a tag or a commit. None: the default branch."""
    username: str | None
    password: str | None
    """A value such as `secret:NAME` stands for a secret."""
    path: str
    """Where the container finds the files."""

    def __repr__(self) -> str:
        return f"Repository(name={self.name!r}, path={self.path!r})"


class Workload(NamedTuple):
    """All that a container is made from."""

    image: str
    """As in the spec."""
    image_id: str | None
    """The id that `Engine.resolve` returned for it. None: not resolved yet."""
    port: int
    command: tuple[str, ...]
    """It replaces the entrypoint of the image. Empty: the image's entrypoint and command."""
    env: tuple[tuple[str, str], ...]
    """Names and values. A value such as `secret:NAME` stands for the secret that the engine knows by this name."""
    instance_type: str | None
    """None: no limits."""
    registry: str | None
    """The name of the registry's credentials. None: the image is public."""
    models: tuple[Model, ...] = ()
    check_ports: tuple[int, ...] = ()
    """The other ports that health checks connect to."""
    repositories: tuple[Repository, ...] = ()
    dataset: str | None = None
    """The name under which the repositories are stored. None: they belong to the deployment."""
    commits: tuple[str, ...] = ()
    """What `Engine.clone` returned for the repositories. Empty: they are not resolved yet."""

    @property
    def is_pinned(self) -> bool:
        """Whether the image and all repositories are resolved."""
        return self.image_id is not None and len(self.commits) == len(self.repositories)


class Image(NamedTuple):
    """An image that is on this machine."""

    id: str
    """What pins it."""
    note: str | None = None
    """Why it is not the one that the registry has now. None: it is, or was pinned before."""


class ContainerKey(NamedTuple):
    """What identifies a container. The engine stores it in labels, and derives the container's name from it.

    At most one container has the same instance and attempt.
    """

    deployment_id: str
    instance_id: str
    attempt: int
    """Each restart is a new attempt, in a new container."""
    template: str
    """A hash of what the container is made from."""


class Container(NamedTuple):
    """An observed container."""

    id: str
    key: ContainerKey
    state: Literal["created", "running", "exited"]
    """`created`: not started yet."""
    host_port: int | None
    """The port of 127.0.0.1 on which the engine publishes the port of the workload. Known also if it does not run."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    out_of_memory: bool = False
    """Whether the kernel killed it because it had reached its memory limit."""
    ended_unseen: bool = False
    """Whether it ended while the server was not connected to the engine, for example because the engine was restarted."""
    cpus: float | None = None
    """How many CPUs it may use. None: all of the machine."""
    check_ports: tuple[tuple[int, int], ...] = ()
    """The ports of the workload for health checks, each with the port of 127.0.0.1 on which the engine publishes it."""


class Execution(NamedTuple):
    """What came of a command in a container."""

    exit_code: int | None
    """None: it has not ended in time."""
    output: str = ""
    """The end of what it wrote."""


class Piece(NamedTuple):
    """A line of the output of a container, or a part of a long one."""

    stream: int
    """0: the standard output. 1: the standard error."""
    at: int
    """When its line was written: nanoseconds since 1970. The parts of a line have the same time."""
    text: bytes
    """Without the line ending."""
    ends: bool
    """Whether it is the end of its line."""


class ContainerMissingError(Exception):
    """The container does not exist."""


class ExecutionError(Exception):
    """The engine does not run a command, for example because its program does not exist. The message has no period."""


class EngineUnavailableError(Exception):
    """The engine does not respond. The message says what was tried and what to do.

    Every method of an engine that communicates with it can raise this error: no method waits forever.
    """


class PreparationError(Exception):
    """What the container needs is not on this machine, and cannot be fetched.

    Attributes:
        permanent: Whether another attempt would fail too: no such image or repository, or wrong credentials.
    """

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class ImageError(PreparationError):
    """The image cannot be pulled."""


class CloneError(PreparationError):
    """A repository cannot be cloned."""


class StartError(Exception):
    """The engine cannot start the container, for example because its command does not exist. No container is left."""


class PortInUseError(Exception):
    """Another program uses the port of 127.0.0.1. No container is left."""


class Engine(Protocol):
    """Runs containers on this machine. All methods belong to one event loop."""

    name: str
    """As in `gradient server --engine`, such as `docker`."""

    async def open(self, server_id: str) -> None:
        """Connect, and prepare what all containers need. The id is the label of everything that this server creates.

        Can be called again after it failed.

        Raises:
            EngineUnavailableError: there is no engine that can be used.
        """
        ...

    async def connect(self, server_id: str) -> None:
        """Connect to list, stop and remove containers, and create nothing.

        Raises:
            EngineUnavailableError: there is no engine that can be used.
        """
        ...

    async def close(self) -> None:
        """Disconnect. The containers keep running."""
        ...

    async def describe(self) -> str:
        """Return the engine and its version, such as "Docker 28.5.2 (unix:///var/run/docker.sock)", if it responds."""
        ...

    async def release(self) -> None:
        """Remove what `open` prepared, unless containers use it, and what a server that was killed left behind."""
        ...

    def check(self, workload: Workload) -> Sequence[str]:
        """Check that the engine can run a workload, without communicating with it.

        Returns:
            Sentences about what differs from the spec, such as reduced limits.

        Raises:
            UnsupportedSpecError: it cannot, for example because the instance type is unknown.
        """
        ...

    async def resolve(self, workload: Workload, progress: Callable[[str], None]) -> Image:
        """Make sure that the image is present, and return what pins it. Pull it if needed.

        With an `image_id`, return the same id: a pinned image never changes.

        Args:
            workload: What needs the image.
            progress: Called with a description of what is done, such as "pulling nginx, 41 %".

        Raises:
            ImageError: the image cannot be pulled.
        """
        ...

    async def clone(self, key: ContainerKey, workload: Workload, progress: Callable[[str], None]) -> tuple[str, ...]:
        """Make sure that the files of the repositories are present, and return the commits that pin them, in order.

        With `commits`, return the same ones: a pinned commit never changes.

        Args:
            key: The container that needs them.
            workload: What it is made from.
            progress: Called with a description of what is done.

        Raises:
            CloneError: a repository cannot be cloned.
        """
        ...

    async def remove_unused(self, key: ContainerKey, workload: Workload, in_use: Collection[str]) -> None:
        """Remove the files of old commits of the repositories.

        Args:
            key: The container that `clone` was called for.
            workload: What it is made from.
            in_use: The commits of all containers: their files are kept.
        """
        ...

    async def stored(self) -> Collection[str]:
        """Return the ids of the deployments that `clone` has stored files for, also of deleted ones."""
        ...

    async def forget(self, deployment_id: str) -> None:
        """Remove what `clone` has stored for a deployment, which is deleted."""
        ...

    async def containers(self) -> Sequence[Container]:
        """Return all containers of this server, also those that have exited."""
        ...

    async def start(self, key: ContainerKey, workload: Workload, host_port: int) -> Container:
        """Create and start a container, or return the one with this instance and attempt.

        It gets the files of the repositories before it starts; `clone` was called before. The container of an earlier
        call that was interrupted is started if it was only created; it is returned as it is if it has exited.

        Raises:
            PortInUseError: the port is in use.
            StartError: the container cannot start.
        """
        ...

    async def stop(self, container_id: str, grace: float) -> None:
        """Stop a container: SIGTERM, and SIGKILL after `grace` seconds. Return when it has exited or does not exist."""
        ...

    async def remove(self, container_id: str) -> None:
        """Remove a container, also if it runs. Return when it does not exist."""
        ...

    async def execute(self, container_id: str, command: tuple[str, ...], timeout: float) -> Execution:
        """Run a command in a running container, without a shell.

        One that does not end in time can continue to run. While it does, calls with the same command have not ended in time.

        Args:
            container_id: The id of the container.
            command: The program and its arguments.
            timeout: The seconds that it may take, once it runs.

        Raises:
            ContainerMissingError: the container does not run.
            ExecutionError: the engine does not run the command, which says nothing about the container.
        """
        ...

    def output(self, container_id: str, since: int, *, follow: bool) -> AsyncGenerator[Sequence[Piece]]:
        """Yield the output of a container in the order in which the engine stored it.

        Args:
            container_id: The id of the container.
            since: Leave out earlier pieces; nanoseconds since 1970. 0: none.
            follow: Whether to continue with what is written later. Then the iterator ends when the container exits, or
                earlier: when the engine ends it, or can leave out pieces from then on. It can yield pieces again. Without
                `follow`, neither happens.

        Raises:
            ContainerMissingError: the container does not exist.
        """
        ...

    async def last_lines(self, container_id: str, count: int) -> Sequence[str]:
        """Return the last lines of the output of a container, at most `count`; no lines if it does not exist."""
        ...

    async def usage(self, container: Container) -> Usage | None:
        """Return what a container uses. None: it does not run, or does not exist."""
        ...

    def changes(self) -> AsyncIterator[str | None]:
        """Yield the id of each deployment whose containers changed.

        Yield None whenever changes may have been missed: after each connection, the first one included. Reconnect
        after a lost connection. Never end by itself.
        """
        ...
