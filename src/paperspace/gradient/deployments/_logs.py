"""The lines of a deployment's logs, in order, over all its instances; none twice, none lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from paperspace.gradient._core.pagination import MAX_PAGE
from paperspace.gradient._generated.deployment_log_lines import DEPLOYMENT_LOG_LINES, DeploymentLogLinesVariables
from paperspace.gradient._generated.deployment_logs import DEPLOYMENT_LOGS, DeploymentLogsVariables
from paperspace.gradient.deployments._queries import about, in_utc, no_such, not_found
from paperspace.gradient.errors import PaginationError

if TYPE_CHECKING:
    from paperspace.gradient._core.session import Session
    from paperspace.gradient._generated.deployment_log_lines import DeploymentLog as DeploymentLogPage
    from paperspace.gradient._generated.deployment_logs import DeploymentLog
    from paperspace.gradient.types import LogLine

# So many names show what the others are like.
_MOST_NAMES = 5

_STUCK = "the server says that a list goes on, but does not get on with it"
_LATEST = datetime.max.replace(tzinfo=UTC)


class LogReader:
    """Reads the logs of one deployment; remembers how far it has read in each of them, and which are over."""

    def __init__(self, session: Session, id: str, instance: str | None) -> None:
        self._session = session
        self._id = id
        self._only = instance
        self._found = False
        self._logs: dict[str, DeploymentLog] = {}
        self._cursors: dict[str, str | None] = {}
        self._over: dict[str, str] = {}  # by when an instance had stopped whose log is read to its end
        self._unread: list[LogLine] = []  # kept for the next try, where something goes wrong on the way

    async def new_lines(self) -> list[LogLine]:
        """The lines that were not read yet, of all instances, by time.

        Raises:
            NotFoundError: There is no such deployment (any more), or at the first reading no log of the one instance.
        """
        for instance in [name for name in await self._instances() if self._may_go_on(name)]:
            more = True
            while more:
                after = self._cursors.get(instance)
                log = await self._page(instance, first=MAX_PAGE, after=after)
                if log is None:
                    break
                page = log["lines"]
                self._unread += page["nodes"]
                self._cursors[instance] = page["pageInfo"]["endCursor"] or after
                more = page["pageInfo"]["hasNextPage"]
                if more and self._cursors[instance] == after:
                    raise PaginationError(_STUCK)
                if not more and log["instanceStopped"] is not None:
                    self._over[instance] = log["instanceStopped"]
        lines, self._unread = self._unread, []
        return in_order(lines)

    async def last_lines(self, count: int) -> list[LogLine]:
        """The last so many lines of all instances together, by time; everything before them counts as read."""
        lines: list[LogLine] = []
        # Those that may have written last come first: once there are enough lines, all that stopped before say nothing.
        for instance in sorted(await self._instances(), key=self._end_of, reverse=True):
            stopped = self._stopped(instance)
            enough = len(lines) >= count and (
                count == 0 or self._end_of(instance) < _moment(lines[-count]["dtCreated"])
            )
            if stopped is not None and enough:
                self._over[instance] = stopped
                continue
            lines = in_order(lines + await self._last_of(instance, count))
        return lines[-count:] if count else []

    def _stopped(self, instance: str) -> str | None:
        """When it stopped, as far as that is known. None: it runs."""
        log = self._logs.get(instance)
        return log and log["instanceStopped"]

    def _end_of(self, instance: str) -> datetime:
        """The latest moment at which it may have written."""
        stopped = self._stopped(instance)
        return _LATEST if stopped is None else _moment(stopped)

    def _may_go_on(self, instance: str) -> bool:
        """Whether there may be more than was read: the instance runs, or has run again since its log was over."""
        stopped = self._stopped(instance)
        return stopped is None or stopped != self._over.get(instance)

    async def _last_of(self, instance: str, count: int) -> list[LogLine]:
        lines: list[LogLine] = []
        before: str | None = None
        left = max(count, 1)  # one at least, to know where the end is
        while left > 0:
            log = await self._page(instance, last=min(left, MAX_PAGE), before=before)
            if log is None or not log["lines"]["nodes"]:
                break
            page = log["lines"]
            self._cursors.setdefault(instance, page["pageInfo"]["endCursor"])
            lines += page["nodes"]
            left -= len(page["nodes"])
            before = page["pageInfo"]["startCursor"]
            if not page["pageInfo"]["hasPreviousPage"]:
                break
        return lines

    async def _instances(self) -> list[str]:
        """The names of the instances whose logs are to be read."""
        if self._only is not None:
            return [self._only]
        await self._look_for_logs()
        return list(self._logs)

    async def _look_for_logs(self) -> None:
        """Notes the logs that there are. The newest come first, so that a page without a new one is the last to see."""
        found: dict[str, DeploymentLog] = {}
        after = None
        while True:
            variables = DeploymentLogsVariables(id=self._id, first=MAX_PAGE, after=after)
            result = await self._session.run(DEPLOYMENT_LOGS, variables, verify=about(self._id))
            if result["deployment"] is None:
                raise not_found(self._id, DEPLOYMENT_LOGS.name)
            page = result["deployment"]["logs"]
            fresh = [log for log in page["nodes"] if log["instanceName"] not in self._logs]
            found |= {log["instanceName"]: log for log in page["nodes"]}
            if not fresh or not page["pageInfo"]["hasNextPage"]:
                break
            if page["pageInfo"]["endCursor"] in {None, after}:
                raise PaginationError(_STUCK)
            after = page["pageInfo"]["endCursor"]
        self._logs |= found  # all or none: the next look goes no further than to what is known

    async def _page(
        self,
        instance: str,
        *,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> DeploymentLogPage | None:
        variables = DeploymentLogLinesVariables(
            id=self._id, instanceName=instance, first=first, after=after, last=last, before=before
        )
        result = await self._session.run(DEPLOYMENT_LOG_LINES, variables, verify=about(self._id))
        if result["deployment"] is None:
            raise not_found(self._id, DEPLOYMENT_LOG_LINES.name)
        log = result["deployment"]["log"]
        if log is None and instance == self._only and not self._found:
            raise no_such("instance", await self._what_there_is(), DEPLOYMENT_LOG_LINES.name)
        self._found = True
        return log

    async def _what_there_is(self) -> str:
        """In words, that there is no log of the one instance, and of which there is one."""
        await self._look_for_logs()
        names = sorted(self._logs)
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        there = f"there are those of {', '.join(names[:_MOST_NAMES])}{more}" if names else "none has one yet"
        return f"the deployment {self._id} has no log of an instance {self._only!r}: {there}"


def in_order(lines: list[LogLine]) -> list[LogLine]:
    """The lines by time; those of one instance stay in the order of their numbers."""
    return sorted(lines, key=lambda line: (line["dtCreated"], line["instanceName"], line["line"]))


def written_since(line: LogLine, since: datetime) -> bool:
    """Whether a line was written at this moment or later."""
    return _moment(line["dtCreated"]) >= in_utc(since)


def _moment(text: str) -> datetime:
    return in_utc(datetime.fromisoformat(text))
