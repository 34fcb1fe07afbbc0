"""The loop of one deployment: observe, apply the rule, do the work; again whenever something has changed."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient._shared.event_loops import monotonic
from paperspace.gradient.server.controller.command_limit import MAX_OWN_COMMANDS
from paperspace.gradient.server.controller.decide import decide, show_unavailable
from paperspace.gradient.server.controller.engine import EngineUnavailableError
from paperspace.gradient.server.controller.gateway import GatewayUnavailableError, Target
from paperspace.gradient.server.controller.state import Progress
from paperspace.gradient.server.controller.steps import Route, Unroute, Wake, Work
from paperspace.gradient.server.controller.stopwatch import Stopwatch
from paperspace.gradient.server.controller.supervision import pause
from paperspace.gradient.server.controller.work import Site, Tools, work
from paperspace.gradient.server.engines.reasons import Reason
from paperspace.gradient.server.tasks import cancel

if TYPE_CHECKING:
    from paperspace.gradient.server.controller.decide import Decision
    from paperspace.gradient.server.controller.gateway import Routes
    from paperspace.gradient.server.controller.listing import Listing
    from paperspace.gradient.server.controller.state import Limits, Report
    from paperspace.gradient.server.controller.steps import Step

_log = logging.getLogger(__name__)

PROGRESS_INTERVAL = 1.0  # seconds between two stored messages about progress
_LOGGED = 3  # failures in a row of the engine in one step, while it responds otherwise


class _Failure(NamedTuple):
    """The last failure of a step."""

    number: int
    """In a row."""
    error: str


_NO_FAILURE = _Failure(0, "")


class Worker:
    """Makes one deployment match its desired state, until it is deleted and nothing is left of it.

    Only this loop stores the observed state of the deployment. Work runs in tasks beside it, one for each step: a task
    is started when the rule demands its step, and cancelled when the rule no longer does.

    Attributes:
        idle: Set while the rule does not have to be applied.
    """

    def __init__(self, deployment_id: str, tools: Tools, listing: Listing, limits: Limits) -> None:
        self._deployment_id = deployment_id
        self._tools = tools
        self._listing = listing
        self._limits = limits
        self._stopwatch = Stopwatch()
        self._commands = asyncio.Semaphore(MAX_OWN_COMMANDS)
        self._pinning = asyncio.Lock()
        self._woken = asyncio.Event()
        self.idle = asyncio.Event()
        self._reports: dict[str, Report] = {}
        self._tasks: dict[Step, asyncio.Task[None]] = {}
        self._failed: dict[Step, _Failure] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._progress_timer: asyncio.TimerHandle | None = None
        self._failures = 0
        self._logged = ""
        self._waiting_since: float | None = None
        self.restarts = 0
        """How many instances were restarted because they had crashed, since the server was started."""

    def wake(self) -> None:
        """Apply the rule again, soon."""
        self._woken.set()
        self.idle.clear()
        if self._waiting_since is None:
            self._waiting_since = monotonic()

    def lag(self) -> float:
        """Return for how many seconds a change has been waiting for the rule, or the rule has been failing."""
        return 0.0 if self._waiting_since is None else monotonic() - self._waiting_since

    async def run(self) -> None:
        """Run until nothing is left of the deployment."""
        self.wake()
        try:
            while True:
                await self._woken.wait()
                self._woken.clear()
                if await self._pass():
                    return
                if not self._woken.is_set():
                    self.idle.set()
        finally:
            self.idle.set()
            for timer in (self._timer, self._progress_timer):
                if timer:
                    timer.cancel()
            await self._cancel(list(self._tasks))

    async def _pass(self) -> bool:
        """Apply the rule once; return whether nothing is left to do, ever."""
        try:
            try:
                decision = await self._apply_rule()
            except EngineUnavailableError as error:
                await self._protect()  # containers may still run, and get requests
                return await self._show_unavailable(str(error), Reason.ENGINE_UNAVAILABLE)
            except GatewayUnavailableError as error:
                return await self._show_unavailable(str(error), Reason.GATEWAY_UNAVAILABLE)
        except Exception as error:  # noqa: BLE001  # a failure in one deployment must not end its loop
            if repr(error) != self._logged:  # once: a full disk must not fill the log
                _log.exception("deployment %s: the controller failed; it tries again", self._deployment_id)
            self._logged = repr(error)
            self._wake_later()
            return False
        self._logged = ""
        self._failures = 0
        self._waiting_since = monotonic() if self._woken.is_set() else None
        return decision.finished and not self._tasks and not self._woken.is_set()

    async def _show_unavailable(self, message: str, reason: Reason) -> bool:
        await self._tools.change(lambda records: show_unavailable(records, self._deployment_id, message, reason))
        self._wake_later()
        return False

    async def _apply_rule(self) -> Decision:
        # What was reported before the listing starts is visible in it. The other way round, a container could have
        # become ready that the listing does not contain yet, and would count as lost.
        reports = dict(self._reports)
        containers = await self._listing.containers(self._deployment_id)
        routes = self._tools.router.routes(self._deployment_id)
        decision = await self._tools.change(
            lambda records: decide(
                records, self._deployment_id, containers, routes, reports, self._limits, self._stopwatch
            )
        )
        self.restarts += decision.restarts
        self._reports = {id_: report for id_, report in self._reports.items() if id_ in decision.instance_ids}
        self._tools.logs.follow(
            container for container in containers if container.key.instance_id in decision.instance_ids
        )
        site = Site(self._deployment_id, containers, self._report, decision.seconds, self._commands, self._pinning)
        await self._change_tasks(decision.steps, site)
        self._set_timer([step.seconds for step in decision.steps if isinstance(step, Wake)])
        await self._change_routes(decision, routes)  # last: it fails if the gateway does not run
        return decision

    async def _change_routes(self, decision: Decision, routes: Routes) -> None:
        router, deployment_id = self._tools.router, self._deployment_id
        # First: protected before a container gets requests. Together: each is written, also if the gateway does not respond.
        removed = (routes.routed | routes.draining) - decision.instance_ids
        await asyncio.gather(
            *([router.expose(deployment_id, decision.access)] if decision.exists else []),
            *(router.forget_instance(deployment_id, instance_id) for instance_id in removed),
        )
        if decision.finished and not decision.exists:
            await self._tools.engine.forget(deployment_id)
            await router.forget(deployment_id)
        for step in decision.steps:
            match step:
                case Route(instance_id):
                    await router.route(deployment_id, instance_id, await self._target(instance_id))
                case Unroute(instance_id):
                    await router.unroute(deployment_id, instance_id)
        if router.routes(deployment_id) != routes:  # also because of a change that had failed before
            self.wake()

    async def _protect(self) -> None:
        """Change who may use the endpoint, and nothing else. If the deployment is deleted or stopped, nobody may."""
        router, deployment_id = self._tools.router, self._deployment_id
        routed = router.routes(deployment_id).routed
        wanted, exists, access = await self._tools.change(
            lambda records: (
                records.revisions(deployment_id),
                deployment_id in records.existing([deployment_id]),
                records.access(deployment_id, routed),
            )
        )
        runs = wanted.newest is not None and wanted.newest.replicas > 0
        with suppress(GatewayUnavailableError):  # later, when something is applied again
            await asyncio.gather(
                *([router.expose(deployment_id, access)] if exists else []),
                *(router.unroute(deployment_id, instance_id) for instance_id in routed if not runs),
            )

    async def _target(self, instance_id: str) -> Target:
        assignment = await self._tools.change(lambda records: records.assignment(instance_id))
        return Target(assignment.port, assignment.protocol)

    async def _change_tasks(self, steps: list[Step], site: Site) -> None:
        wanted = [step for step in steps if isinstance(step, Work)]
        await self._cancel([step for step in self._tasks if step not in wanted])
        self._failed = {step: failure for step, failure in self._failed.items() if step in wanted}
        for step in wanted:
            if step not in self._tasks:
                self._tasks[step] = asyncio.create_task(self._work(step, site))

    async def _cancel(self, steps: list[Step]) -> None:
        await cancel([self._tasks.pop(step) for step in steps if step in self._tasks])

    async def _work(self, step: Work, site: Site) -> None:
        try:
            await work(step, self._tools, site)
            self._failed.pop(step, None)
        except Exception as error:  # noqa: BLE001  # as above
            self.wake()  # if the engine does not respond, the listing fails too
            await asyncio.sleep(self._note_failure(step, error))
        finally:
            if self._tasks.get(step) is asyncio.current_task():
                del self._tasks[step]
        self.wake()

    def _note_failure(self, step: Work, error: Exception) -> float:
        """Log the failure of a step once, and return the seconds until it is repeated."""
        before = self._failed.get(step, _NO_FAILURE)
        known = _Failure(before.number + 1, repr(error))
        self._failed[step] = known
        if isinstance(error, EngineUnavailableError | GatewayUnavailableError):
            if known.number == _LOGGED:  # not before: an outage is logged once for all deployments
                _log.warning("deployment %s: %s failed, and is repeated: %s", self._deployment_id, step, error)
        elif known.error != before.error:
            _log.error("deployment %s: %s failed; it is repeated", self._deployment_id, step, exc_info=error)
        return pause(before.number)

    def _report(self, instance_id: str, report: Report) -> None:
        """Keep a report for the rule. Progress is stored at most once a second."""
        self._reports[instance_id] = report
        if not isinstance(report, Progress):
            self.wake()
        elif self._progress_timer is None:
            self.wake()
            self._progress_timer = asyncio.get_running_loop().call_later(PROGRESS_INTERVAL, self._end_interval)

    def _end_interval(self) -> None:
        self._progress_timer = None
        self.wake()

    def _set_timer(self, delays: list[float]) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None
        if delays:
            self._timer = asyncio.get_running_loop().call_later(min(delays), self.wake)

    def _wake_later(self) -> None:
        """Apply the rule again after a pause. There is one timer: with more, each failure would add another one."""
        self._failures += 1
        self._set_timer([pause(self._failures)])
