"""The logs of containers: follows their output, reads it to its end before they are removed, and drops old logs."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Protocol

from paperspace.gradient.server.controller.engine import ContainerMissingError, EngineUnavailableError
from paperspace.gradient.server.controller.log_reading import Progress, Reading
from paperspace.gradient.server.controller.supervision import MAX_PAUSE, MIN_PAUSE, pause
from paperspace.gradient.server.storage.log_file import Output
from paperspace.gradient.server.storage.side_file import SideFileError
from paperspace.gradient.server.tasks import cancel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Iterable, Sequence

    from paperspace.gradient.server.controller.engine import Container, Engine
    from paperspace.gradient.server.controller.log_reading import Line
    from paperspace.gradient.server.controller.log_store import LogStore

_log = logging.getLogger(__name__)

KEPT_LOGS = 10  # of removed instances of a deployment, in addition to those of all its other instances

FINAL_ATTEMPTS = 4  # to read the end of a log, before the container is removed without it


class Logs(Protocol):
    """Stores the logs of containers. Nothing that fails there stops a deployment."""

    def follow(self, containers: Iterable[Container]) -> None:
        """Store what these containers write, from now on or from where it was read to before."""
        ...

    async def finish(self, container: Container) -> None:
        """Store the rest of the output of a container. It has exited, or is removed next."""
        ...

    async def logs(self) -> list[tuple[str, str]]:
        """Return the ids of the deployment and the instance of each log, newest first."""
        ...

    async def drop(self, instance_ids: Collection[str]) -> None:
        """Remove the logs of instances, and return space of removed ones to the disk."""
        ...


class NoLogs:
    """Stores nothing."""

    def follow(self, containers: Iterable[Container]) -> None:
        """Do nothing."""

    async def finish(self, container: Container) -> None:
        """Do nothing."""

    async def logs(self) -> list[tuple[str, str]]:
        """Return that there are no logs."""
        return []

    async def drop(self, instance_ids: Collection[str]) -> None:
        """Do nothing."""


class Collector:
    """Collects the output of containers, each in a task of its own.

    Args:
        engine: Where the containers run.
        store: Where their logs are stored.
    """

    def __init__(self, engine: Engine, store: LogStore) -> None:
        self._engine = engine
        self._store = store
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by the id of the container
        self._finishing: set[str] = set()
        self._failures = 0  # of the store, when the logs were last listed

    async def close(self) -> None:
        """Stop. What is not stored yet is read again after the next start."""
        await self._stop(list(self._tasks))

    def follow(self, containers: Iterable[Container]) -> None:
        """Follow those of the containers that run and are not followed yet. What has exited is left to `finish`."""
        for container in containers:
            if container.state == "running" and container.id not in self._tasks.keys() | self._finishing:
                self._tasks[container.id] = asyncio.create_task(self._follow(container))

    async def finish(self, container: Container) -> None:
        """Store the rest of the output of a container. If that fails, say so in the log of the server."""
        self._finishing.add(container.id)
        try:
            await self._stop([container.id])
            failures = 0
            while problem := await self._try_to_store(self._store_rest(container), container):
                failures += 1
                if failures == FINAL_ATTEMPTS:
                    _log.warning("The end of the log of container %s cannot be stored: %s", container.id[:12], problem)
                    return
                await asyncio.sleep(pause(failures))
        except ContainerMissingError:
            pass
        finally:
            self._finishing.discard(container.id)

    async def logs(self) -> list[tuple[str, str]]:
        """Return the ids of the deployment and the instance of each log, newest first; none if they cannot be read.

        After a failure, perhaps the file was replaced: everything that the engine still has is read again, from `follow` on.
        """
        logs: list[tuple[str, str]] = []
        with suppress(SideFileError):
            logs = await self._store.logs()
        if self._store.failures != self._failures:
            self._failures = self._store.failures
            await self.close()
        return logs

    async def drop(self, instance_ids: Collection[str]) -> None:
        """Remove the logs of instances, and return space of removed ones to the disk, unless the store fails."""
        with suppress(SideFileError):  # the next time
            await self._store.drop(instance_ids)

    async def _follow(self, container: Container) -> None:
        """Store the output of a container until it does not exist any more."""
        failures = 0
        try:
            while True:
                start = asyncio.get_running_loop().time()
                await self._try_to_store(self._store_as_written(container), container)
                failures = 0 if asyncio.get_running_loop().time() - start > MAX_PAUSE else failures + 1
                await asyncio.sleep(pause(failures))
        except ContainerMissingError:
            pass
        finally:
            if self._tasks.get(container.id) is asyncio.current_task():
                del self._tasks[container.id]

    async def _try_to_store(self, storing: Awaitable[None], container: Container) -> Exception | None:
        """Store output, and return why that failed."""
        try:
            await storing
        except ContainerMissingError:
            raise
        except (EngineUnavailableError, SideFileError) as error:
            return error  # both are reported elsewhere too
        except Exception as error:  # noqa: BLE001  # whatever it is, deployments must go on
            _log.exception("the log of container %s: reading failed", container.id)
            return error
        return None

    async def _store_as_written(self, container: Container) -> None:
        """Store output from where it was read to, and what is written later, until there is no more.

        The engine can end a stream that is followed. Then what it has is read to its end, which always is complete.
        """
        before: str | None = ""
        stored = await self._store.progress(container.id)
        while stored != before:
            before = stored
            followed = Reading(_load(stored), follow=True)
            stored = await self._store_read(container, followed, stored)
            stored = await self._store_read(container, Reading(followed.progress, since=followed.repeated), stored)
            await asyncio.sleep(MIN_PAUSE)

    async def _store_rest(self, container: Container) -> None:
        """Store output from where it was read to, up to the end."""
        stored = await self._store.progress(container.id)
        reading = Reading(_load(stored))
        stored = await self._store_read(container, reading, stored)
        if lines := reading.end():
            await self._append(container, lines, stored, reading.progress)

    async def _store_read(self, container: Container, reading: Reading, stored: str | None) -> str | None:
        """Store what a reading finds after the progress that is stored; return what is stored then."""
        output = self._engine.output(container.id, reading.since, follow=reading.follow)
        async with aclosing(output):
            async for pieces in output:
                before = reading.progress
                lines = reading.take(pieces)
                if reading.progress is not before:
                    stored = await self._append(container, lines, stored, reading.progress)
                if reading.repeated is not None:
                    break
        return stored

    async def _append(self, container: Container, lines: Sequence[Line], stored: str | None, progress: Progress) -> str:
        """Store lines and progress after the progress that is stored; return what is stored then."""
        deployment_id, instance_id, _, _ = container.key
        after = progress.dump()
        await self._store.append(Output(deployment_id, instance_id, container.id, lines, stored, after))
        return after

    async def _stop(self, container_ids: Iterable[str]) -> None:
        await cancel([self._tasks.pop(id_) for id_ in container_ids if id_ in self._tasks])


def _load(stored: str | None) -> Progress:
    return Progress.load(stored) if stored else Progress()


def outdated(logs: Iterable[tuple[str, str]], removed: Collection[str], existing: Collection[str]) -> list[str]:
    """Return the ids of the instances whose logs are not kept any more.

    Args:
        logs: The ids of the deployment and the instance of each log, newest first.
        removed: The ids of removed instances.
        existing: The ids of the deployments that are not deleted.
    """
    kept: dict[str, int] = {}
    dropped = []
    for deployment_id, instance_id in logs:
        if instance_id not in removed:
            continue
        kept[deployment_id] = kept.get(deployment_id, 0) + 1
        if deployment_id not in existing or kept[deployment_id] > KEPT_LOGS:
            dropped.append(instance_id)
    return dropped
