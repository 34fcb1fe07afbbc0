"""Commands in running containers, by the exec API of the engine.

The engine cannot end a command. One that does not end in time, or whose call is interrupted, is left alone, and is not
started again until it has ended. This is also true for those of an earlier server.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import aiodocker
from aiodocker.execs import Exec

from paperspace.gradient.server.controller.engine import ContainerMissingError, Execution, ExecutionError
from paperspace.gradient.server.docker.commands import CANNOT_START, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from aiodocker.containers import DockerContainer

    from paperspace.gradient.server.docker.api import Api

MAX_OUTPUT = 1000  # bytes; earlier ones are dropped
POLL = 0.02  # seconds between two looks at a command whose output has ended

# The exit codes that the engine gives a command that it cannot start. Commands have them too, as those of shells.
_CANNOT_EXECUTE = {126, 127}
_PAUSED = Execution(126, "the container is paused")


class _Left(NamedTuple):
    """A command that a call has left alone: it did not end in time, or the call was interrupted."""

    execution: Exec
    since: float
    """When it was started, or found. Of the event loop's clock, in seconds."""


class Executions:
    """Runs commands, and knows those that can still run."""

    def __init__(self) -> None:
        self._left: dict[tuple[str, tuple[str, ...]], _Left] = {}
        self._searched: set[str] = set()
        """The ids of the containers whose commands from before this object are known."""

    def forget_others(self, container_ids: AbstractSet[str]) -> None:
        """Forget the commands in other containers than these: they have ended with their containers."""
        self._left = {key: left for key, left in self._left.items() if key[0] in container_ids}
        self._searched &= container_ids

    async def run(self, api: Api, container_id: str, command: tuple[str, ...], timeout: float) -> Execution:
        """Run a command. The time that the engine needs to start it does not count.

        Raises:
            ContainerMissingError: the container does not run.
            ExecutionError: the engine does not run the command.
        """
        key = container_id, command
        if container_id not in self._searched:
            await self._search(api, container_id)
        if left := self._left.get(key):
            if not await _ends(api, left, timeout):
                return Execution(None)
            self._left.pop(key, None)
        try:
            execution = await _create(api, container_id, command)
        except _PausedError:
            return _PAUSED
        return await self._finish(api, execution, key, timeout)

    async def _search(self, api: Api, container_id: str) -> None:
        """Find the commands that an earlier server has left."""
        now = asyncio.get_running_loop().time()
        for id_ in await _execution_ids(api, container_id):
            execution = Exec(api.client, id_)
            details = await _inspect(api, execution)
            if details and details["Running"]:
                process = details["ProcessConfig"]
                command = process["entrypoint"], *process["arguments"]
                self._left.setdefault((container_id, command), _Left(execution, now))
        self._searched.add(container_id)

    async def _finish(self, api: Api, execution: Exec, key: tuple[str, tuple[str, ...]], timeout: float) -> Execution:
        """Start a command, and wait until it has ended."""
        start = asyncio.get_running_loop().time()
        output = bytearray()
        exit_code = None
        try:
            async with asyncio.timeout(None) as limit:
                await _read(api, execution, output, limit, timeout)
                while (exit_code := await _exit_code(api, execution)) is None:  # noqa: ASYNC110  # the engine has no event
                    await asyncio.sleep(POLL)
        except TimeoutError:
            exit_code = await _exit_code(api, execution)
        finally:
            if exit_code is None:
                self._left[key] = _Left(execution, start)
        text = output.decode(errors="replace")
        if exit_code in _CANNOT_EXECUTE and CANNOT_START.match(text):
            raise _not_run(text)
        return Execution(exit_code, text)


class _PausedError(Exception):
    """The container is paused, so that no command can start in it."""


def _not_run(message: str) -> ExecutionError:
    return ExecutionError(plain(message).rstrip("."))


async def _create(api: Api, container_id: str, command: tuple[str, ...]) -> Exec:
    container = api.client.containers.container(container_id)
    with api.requests():
        try:
            return await container.exec(command)
        except aiodocker.DockerError as error:
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                raise _not_run(error.message) from error
            if error.status == HTTPStatus.CONFLICT and await _is_paused(container):
                raise _PausedError from error
            raise ContainerMissingError(container_id) from error


async def _is_paused(container: DockerContainer) -> bool:
    try:
        return bool((await container.show())["State"]["Paused"])
    except aiodocker.DockerError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return False
        raise


async def _read(api: Api, execution: Exec, output: bytearray, limit: asyncio.Timeout, timeout: float) -> None:
    """Start a command and read its output to the end. The time limit begins when the engine has started it."""
    with api.requests():
        try:
            async with execution.start() as stream:
                limit.reschedule(asyncio.get_running_loop().time() + timeout)
                while message := await stream.read_out():
                    output += message.data
                    del output[:-MAX_OUTPUT]
        except aiodocker.DockerError as error:
            if error.status < HTTPStatus.INTERNAL_SERVER_ERROR or CANNOT_START.search(error.message):
                raise _not_run(error.message) from error
            raise


async def _ends(api: Api, left: _Left, timeout: float) -> bool:
    """Return whether a command ends in time."""
    loop = asyncio.get_running_loop()
    while (details := await _inspect(api, left.execution)) and details["Running"]:
        if loop.time() - left.since >= timeout:
            return False
        await asyncio.sleep(POLL)
    return True


async def _exit_code(api: Api, execution: Exec) -> int | None:
    """Return the exit code of a command; None if it runs."""
    details = await _inspect(api, execution)
    if details is None:
        raise ContainerMissingError(execution.id)
    exit_code: int | None = None if details["Running"] else details["ExitCode"]
    return exit_code


async def _inspect(api: Api, execution: Exec) -> Mapping[str, Any] | None:
    """Return what the engine knows of a command. None: nothing any more, some minutes after it has ended."""
    with api.requests():
        try:
            return await execution.inspect()
        except aiodocker.DockerError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise


async def _execution_ids(api: Api, container_id: str) -> Sequence[str]:
    with api.requests():
        try:
            return (await api.client.containers.container(container_id).show())["ExecIDs"] or ()
        except aiodocker.DockerError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise ContainerMissingError(container_id) from error
            raise
