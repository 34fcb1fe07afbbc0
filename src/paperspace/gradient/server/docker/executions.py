"""Commands in running containers, by the exec API of the engine.

The engine cannot end a command. One that does not end in time is left alone, and is not started again until it has ended.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiodocker

from paperspace.gradient.server.controller.engine import ContainerMissingError, Execution
from paperspace.gradient.server.docker.commands import CANNOT_START, plain

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from aiodocker.containers import DockerContainer
    from aiodocker.execs import Exec

    from paperspace.gradient.server.docker.api import Api

MAX_OUTPUT = 1000  # bytes; earlier ones are dropped
POLL = 0.02  # seconds between two looks at a command whose output has ended

_CANNOT_EXECUTE = 126  # the exit code of shells for a command that cannot be executed


class Executions:
    """Runs commands, and knows those that have not ended in time."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, tuple[str, ...]], Exec] = {}

    def forget_others(self, container_ids: AbstractSet[str]) -> None:
        """Forget the commands in other containers than these: they have ended with their containers."""
        self._running = {key: execution for key, execution in self._running.items() if key[0] in container_ids}

    async def run(self, api: Api, container_id: str, command: tuple[str, ...], timeout: float) -> Execution:
        """Run a command. The time that the engine needs to start it does not count.

        Raises:
            ContainerMissingError: the container does not run.
        """
        key = container_id, command
        if earlier := self._running.get(key):
            if await _exit_code(api, earlier) is None:
                return Execution(None)
            del self._running[key]
        try:
            execution = await _create(api, container_id, command)
            return await self._finish(api, execution, key, timeout)
        except _CannotStartError as error:
            return Execution(_CANNOT_EXECUTE, str(error))

    async def _finish(self, api: Api, execution: Exec, key: tuple[str, tuple[str, ...]], timeout: float) -> Execution:
        """Start a command, and wait until it has ended."""
        output = bytearray()
        try:
            async with asyncio.timeout(None) as limit:
                await _read(api, execution, output, limit, timeout)
                while (exit_code := await _exit_code(api, execution)) is None:  # noqa: ASYNC110  # the engine has no event
                    await asyncio.sleep(POLL)
        except TimeoutError:
            exit_code = await _exit_code(api, execution)
            if exit_code is None:
                self._running[key] = execution
        return Execution(exit_code, output.decode(errors="replace"))


class _CannotStartError(Exception):
    """The command cannot be executed, for example because the program does not exist."""


async def _create(api: Api, container_id: str, command: tuple[str, ...]) -> Exec:
    container = api.client.containers.container(container_id)
    with api.requests():
        try:
            return await container.exec(command)
        except aiodocker.DockerError as error:
            if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                raise
            if error.status == HTTPStatus.CONFLICT and await _is_paused(container):
                raise _CannotStartError("the container is paused") from error
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
                raise _CannotStartError(plain(error.message)) from error
            raise


async def _exit_code(api: Api, execution: Exec) -> int | None:
    """Return the exit code of a command; None if it runs."""
    with api.requests():
        try:
            details = await execution.inspect()
        except aiodocker.DockerError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise ContainerMissingError(execution.id) from error
            raise
    exit_code: int | None = None if details["Running"] else details["ExitCode"]
    return exit_code
