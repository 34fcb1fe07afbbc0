"""Probes: find out whether a container is ready, and with health checks also whether it stays so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paperspace.gradient.server.controller import http_checks, restarts
from paperspace.gradient.server.controller.checks import Check, Command, Health, Result
from paperspace.gradient.server.controller.command_limit import limited
from paperspace.gradient.server.controller.engine import (
    ContainerMissingError,
    EngineUnavailableError,
    ExecutionError,
)
from paperspace.gradient.server.controller.monitor import Before, Monitor
from paperspace.gradient.server.controller.readiness import wait_until_ready
from paperspace.gradient.server.controller.state import Ended, Progress, Report, Responded
from paperspace.gradient.server.engines.reasons import Reason
from paperspace.gradient.server.engines.runtime import InstanceNoted

if TYPE_CHECKING:
    from paperspace.gradient.server.controller.engine import Container
    from paperspace.gradient.server.controller.records import Assignment
    from paperspace.gradient.server.controller.steps import Probe
    from paperspace.gradient.server.controller.work import Site, Tools

_MAX_OUTPUT = 200  # characters of the output of a command in a message


async def probe(step: Probe, tools: Tools, site: Site) -> None:
    """Do the work of the step."""
    assignment, was_ready = await tools.change(
        lambda records: (records.assignment(step.instance_id), records.is_healthy(step.instance_id))
    )
    containers = [entry for entry in site.containers if entry.key[1:3] == (step.instance_id, step.attempt)]
    if assignment.key.attempt != step.attempt or not containers:
        return
    (container,) = containers
    before = Before(site.seconds.get(container.id, 0.0), was_ready)
    await Monitor(step.checks, _Container(step, tools, site, assignment, container), before).run()


class _Container:
    """The subject of the checks."""

    def __init__(self, step: Probe, tools: Tools, site: Site, assignment: Assignment, container: Container) -> None:
        self._step = step
        self._tools = tools
        self._site = site
        self._assignment = assignment
        self._container = container
        self._ports = {assignment.workload.port: step.port, **dict(step.check_ports)}
        self._noted: dict[str, str] = {}
        """Why the last result of a check is unknown, by its name."""

    async def attempt(self, check: Check) -> Result | None:
        action = check.action
        if isinstance(action, Command):
            result = await self._execute(action, check.timeout)
            if result:
                await self._note(check, result)
            return result
        if action.port not in self._ports:  # the container is from before the server published such ports
            return Result(False, f"port {action.port} of the container is not published")
        http2 = self._assignment.protocol == "http2" and action.port == self._assignment.workload.port
        return await http_checks.attempt(action, self._ports[action.port], check.timeout, http2=http2)

    async def _execute(self, command: Command, timeout: float) -> Result | None:
        name = command.arguments[0]
        try:
            async with limited(self._site.commands, self._tools.commands):
                execution = await self._tools.engine.execute(self._container.id, command.arguments, timeout)
        except (ContainerMissingError, EngineUnavailableError):
            return None
        except ExecutionError as error:
            reason = restarts.output_excerpt(str(error).splitlines())[-_MAX_OUTPUT:]
            return Result(None, f"{name} cannot be run: {reason}")
        if execution.exit_code is None:
            return Result(False, f"{name} did not end in {timeout:g} s")
        output = restarts.output_excerpt(execution.output.splitlines())[-_MAX_OUTPUT:]
        return Result(
            execution.exit_code == 0, f"{name} exited with code {execution.exit_code}{output and f': {output}'}"
        )

    async def _note(self, check: Check, result: Result) -> None:
        """Record once why a result is unknown: the state of an instance that is ready does not say it."""
        if result.passed is not None:
            self._noted.pop(check.name, None)
        elif self._noted.get(check.name) != result.text:
            self._noted[check.name] = result.text
            id_, message = self._step.instance_id, f"{check.name}: {result.text}. The result does not count."
            await self._tools.change(
                lambda records: records.record([InstanceNoted(id_, records.now, Reason.CHECK_UNKNOWN, message)])
            )

    async def respond(self) -> None:
        workload, protocol = self._assignment.workload, self._assignment.protocol
        await wait_until_ready(self._step.port, protocol, workload.port, self.waiting)

    def changed(self, health: Health) -> None:
        attempt, message = self._step.attempt, f"{health.message}."
        report: Report
        if not health.alive:
            report = Ended(attempt, message, cause=Reason.UNHEALTHY)
        elif health.ready:
            report = Responded(attempt)
        else:
            report = Progress(attempt, "Running", message, Reason.UNREADY)
        self._site.report(self._step.instance_id, report)

    def waiting(self, reason: str) -> None:
        self._site.report(self._step.instance_id, Progress(self._step.attempt, "Running", reason))
