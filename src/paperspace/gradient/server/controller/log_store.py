"""The store of logs, for the event loop: writes in a thread of its own, and what waits together in one transaction."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Self

from paperspace.gradient.server.controller.side_store import SideStore
from paperspace.gradient.server.storage.log_file import LogFile
from paperspace.gradient.server.storage.side_file import SideFileError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paperspace.gradient.server.storage.log_file import Output
    from paperspace.gradient.server.storage.side_file import Location

WRITE_INTERVAL = 0.05  # seconds between two transactions with lines; readers see lines this much later

# Bytes of one transaction, before the last output in it. It limits how much all containers together can write, and with it
# the work of the event loop, which decodes each output before it is stored: some milliseconds in each interval.
_TRANSACTION_SIZE = 512 * 1024
_LINE_OVERHEAD = 40  # bytes that decoding a line costs as much as


class _Waiting(NamedTuple):
    output: Output
    stored: asyncio.Future[None]

    @property
    def size(self) -> int:
        return sum(len(text) + _LINE_OVERHEAD for _, text in self.output.lines)


class LogStore:
    """Stores the output of containers, in an `async with` block.

    Each method raises `SideFileError` if the file cannot be used.
    """

    def __init__(self, location: Location) -> None:
        self._store = SideStore("logs", partial(LogFile, location))
        self._waiting: list[_Waiting] = []
        self._appended = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._store.open()
        self._writing = asyncio.create_task(self._write_forever())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writing.cancel()
        with suppress(asyncio.CancelledError):
            await self._writing
        await self._store.close()

    @property
    def failures(self) -> int:
        """How often the file could not be used. It may have been replaced then."""
        return self._store.failures

    async def append(self, output: Output) -> None:
        """Store output. If the caller is cancelled, `progress` says whether it is stored."""
        waiting = _Waiting(output, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._appended.set()
        await waiting.stored

    async def progress(self, container_id: str) -> str | None:
        """Return what was last stored about the output of a container."""
        return await self._store.run(lambda file: file.progress(container_id))

    async def logs(self) -> list[tuple[str, str]]:
        """Return the ids of the deployment and the instance of each log, newest first."""
        return await self._store.run(lambda file: file.logs())

    async def drop(self, instance_ids: Iterable[str]) -> None:
        """Remove the logs of instances, and return space of removed ones to the disk."""
        await self._store.run(lambda file: file.drop(instance_ids))

    def _next(self) -> list[_Waiting]:
        """Return what is stored next: that which waits longest."""
        # Those whose callers were cancelled are left out: they read the same output again.
        waiting = [entry for entry in self._waiting if not entry.stored.done()]
        size = count = 0
        while count < len(waiting) and size < _TRANSACTION_SIZE:
            size += waiting[count].size
            count += 1
        self._waiting = waiting[count:]
        if self._waiting:
            self._appended.set()
        return waiting[:count]

    async def _write_forever(self) -> None:
        while True:
            await self._appended.wait()
            self._appended.clear()
            waiting = self._next()
            outputs = [entry.output for entry in waiting]
            left_out: list[Output] = []
            try:
                left_out = await self._store.run(lambda file, outputs=outputs: file.append(outputs))  # type: ignore[misc]
            except Exception as error:  # noqa: BLE001  # raised where the callers wait
                problem: Exception | None = error
            else:
                problem = None
            for output, stored in waiting:
                if stored.done():
                    continue
                if problem:
                    stored.set_exception(problem)
                elif output in left_out:
                    stored.set_exception(SideFileError("The file of logs was replaced."))
                else:
                    stored.set_result(None)
            await asyncio.sleep(WRITE_INTERVAL)
