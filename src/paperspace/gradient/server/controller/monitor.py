"""Run the checks of one container: when each attempt is due, and what is reported.

While a container starts, attempts follow each other quickly, so that it is ready soon; those that fail within one period
count as one failure. Afterwards, there is one attempt in each period.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, NamedTuple, Protocol

from paperspace.gradient.server.controller.checks import Health, after
from paperspace.gradient.server.controller.readiness import FIRST_INTERVAL, GROWTH, MAX_INTERVAL, SILENCE
from paperspace.gradient.server.tasks import cancel

if TYPE_CHECKING:
    from paperspace.gradient.server.controller.checks import Check, Checks, Result


class Subject(Protocol):
    """The container that is checked, and who gets the reports."""

    async def attempt(self, check: Check) -> Result | None:
        """Make one attempt of a check. None: its result says nothing, for example because the engine is away."""
        ...

    async def respond(self) -> None:
        """Return when the container responds on its port."""
        ...

    def changed(self, health: Health) -> None:
        """Get what the results mean, after it has changed."""
        ...

    def waiting(self, reason: str) -> None:
        """Get a sentence about what the container waits for while it starts."""
        ...


class Before(NamedTuple):
    """What is known about the container before the first attempt."""

    age: float
    """Seconds since its start."""
    ready: bool
    """Whether it is ready. It stays so until a check has failed."""


class Monitor:
    """Runs the checks of one container."""

    def __init__(self, checks: Checks, subject: Subject, before: Before) -> None:
        self._checks = checks
        self._subject = subject
        self._resumed = self._was_ready = before.ready
        self._loop = asyncio.get_running_loop()
        self._begin = self._loop.time()
        self._container_start = self._begin - before.age
        self._health = Health(started=before.ready or checks.startup is None, ready=before.ready)

    async def run(self) -> None:
        """Run the checks until one says that the container has to be restarted, or nothing is left to check."""
        if self._checks.startup and not self._health.started:
            await self._repeat(self._checks.startup)
        if self._health.alive:
            await self._run_others()

    async def _run_others(self) -> None:
        readiness, liveness = self._checks.readiness, self._checks.liveness
        tasks = {asyncio.create_task(self._repeat(readiness) if readiness else self._become_ready())}
        if liveness:
            tasks.add(asyncio.create_task(self._repeat(liveness)))
        try:
            while tasks and self._health.alive:
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            await cancel(tasks)

    async def _become_ready(self) -> None:
        """Without a readiness check, a container is ready when it has responded."""
        if not self._health.ready:
            await self._subject.respond()
            self._health = self._health._replace(ready=True)
            self._subject.changed(self._health)

    async def _repeat(self, check: Check) -> None:
        """Make attempts until the startup check has passed, or the container has to be restarted."""
        await self._wait_for_first(check)
        interval, end_of_period = FIRST_INTERVAL, self._loop.time() + check.period
        while True:
            start = self._loop.time()
            result = await self._subject.attempt(check)
            waits = self._starts(check) and self._loop.time() < end_of_period
            if result and result.passed is not None and (result.passed or not waits):
                self._count(check, result)
                end_of_period = self._loop.time() + check.period  # also after an outage, in which nothing was counted
            elif result:
                self._wait(check, result)
            if not self._health.alive or (check.name == "startup" and self._health.started):
                return
            following = start + (min(interval, check.period) if self._starts(check) else check.period)
            interval = min(interval * GROWTH, MAX_INTERVAL)
            await asyncio.sleep(max(following - self._loop.time(), 0.0))

    async def _wait_for_first(self, check: Check) -> None:
        delay = self._container_start + check.initial_delay - self._loop.time()
        if self._resumed:  # after a restart of the server, the checks of all containers begin, but not at the same time
            delay = max(delay, random.uniform(0, check.period))  # noqa: S311  # no secret
        await asyncio.sleep(max(delay, 0.0))

    def _starts(self, check: Check) -> bool:
        """Whether the container may still need time to pass a check for the first time."""
        return check.name == "startup" or (check.name == "readiness" and not self._was_ready)

    def _count(self, check: Check, result: Result) -> None:
        before, self._health = self._health, after(self._health, check, result)
        self._was_ready |= self._health.ready
        if (before.ready, before.alive) != (self._health.ready, self._health.alive):
            self._subject.changed(self._health)
        elif not result.passed:
            self._wait(check, result)

    def _wait(self, check: Check, result: Result) -> None:
        """Say what the container waits for. Most need some time, so this is silent at first."""
        if self._starts(check) and self._loop.time() - self._begin >= SILENCE:
            self._subject.waiting(f"{check.name}: {result.text}.")
