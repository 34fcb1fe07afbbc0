"""Read the logs of a deployment: the lines of all instances in order, each exactly once."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient._core.pagination import empty_page, iter_pages, reverse_page
from paperspace.gradient._generated.deployment_log_lines import DEPLOYMENT_LOG_LINES, DeploymentLogLinesVariables
from paperspace.gradient._generated.deployment_logs import DEPLOYMENT_LOGS, DeploymentLogsVariables
from paperspace.gradient.deployments._errors import part_not_found
from paperspace.gradient.deployments._queries import fetch_by_id, parse_time, start_of
from paperspace.gradient.errors import PaginationError

if TYPE_CHECKING:
    from datetime import timedelta

    from paperspace.gradient._core.pagination import Page
    from paperspace.gradient._core.session import Session
    from paperspace.gradient._generated.deployment_log_lines import DeploymentLog as LogPage
    from paperspace.gradient._generated.deployment_logs import DeploymentLog
    from paperspace.gradient._generated.deployment_logs import DeploymentLogLine as LastLine
    from paperspace.gradient.types import LogLine

# The logs on a page when it is read again: most changes are in the newest ones.
_UPDATE_PAGE = 20

# How many instance names an error lists.
_MAX_NAMES = 5

_STILL_RUNNING = datetime.max.replace(tzinfo=UTC)


class Mark(NamedTuple):
    """What tells a line of a log from the others: its number is another one after the file of the logs was replaced."""

    line: int = 0
    time: datetime = datetime.min.replace(tzinfo=UTC)


_START = Mark()


class LogReader:
    """Reader of the logs of one deployment, which remembers how far it has read in each of them.

    Args:
        session: The session to read with.
        id: The id of the deployment.
        instance: The name of the only instance to read. None: all instances.
    """

    def __init__(self, session: Session, id: str, instance: str | None) -> None:
        self._session = session
        self._id = id
        self._only_instance = instance
        self._log_exists = False  # whether the only instance to read is known to have a log
        self._logs: dict[str, DeploymentLog] = {}  # by instance
        self._updated: set[str] = set()  # the instances whose logs were listed by the last update
        self._cursors: dict[str, str | None] = {}  # the end of what was read, by instance
        self._last: dict[str, Mark] = {}  # the last line that was read, by instance
        self._finished: dict[str, str] = {}  # when an instance stopped whose log is read to the end
        self._pending: list[LogLine] = []  # lines already read when a later request fails; the next call returns them

    async def new_lines(self) -> list[LogLine]:
        """Return the lines that were not read yet, of all instances, by time, up to the ends that the logs have now.

        Raises:
            NotFoundError: No deployment has this id (any more), or the only instance to read has no log yet.
        """
        for instance in await self._instances():
            if self._may_have_more(instance):
                await self._read_new(instance)
        return self.pending_lines()

    def pending_lines(self) -> list[LogLine]:
        """Return the lines that `new_lines` had read when it failed, by time."""
        lines, self._pending = self._pending, []
        return sorted_lines(lines)

    async def last_lines(self, count: int | None, since: datetime | timedelta | None = None) -> list[LogLine]:
        """Return the last lines over all instances, by time. All earlier lines count as read.

        Args:
            count: How many lines at most. None: no limit.
            since: Lines before this time are not needed, and not read, but for some before it. None: any line is.

        Raises:
            NotFoundError: No deployment has this id, or the only instance to read has no log.
        """
        lines: list[LogLine] = []
        # Instances that may have written last come first. Once there are enough lines, the log of an instance that
        # stopped before the first of them cannot contribute.
        for instance in sorted(await self._instances(), key=self._end_time, reverse=True):
            stopped = self._stopped(instance)
            start = self._start(lines, count, since)
            if stopped is not None and start is not None and self._end_time(instance) < start:
                self._finished[instance], self._last[instance] = stopped, _end(self._logs[instance])
                continue
            lines = sorted_lines(lines + await self._read_backward(instance, count, since))
        return lines if count is None else lines[len(lines) - min(count, len(lines)) :]

    def _start(self, lines: list[LogLine], count: int | None, since: datetime | timedelta | None) -> datetime | None:
        """Return the time before which no line is needed, if these lines were read. None: any line may be needed."""
        start = None if since is None else start_of(since, self._session)
        if count is None or len(lines) < count:
            return start
        oldest = parse_time(lines[-count]["dtCreated"]) if count else _STILL_RUNNING
        return oldest if start is None else max(oldest, start)

    async def _read_new(self, instance: str) -> None:
        """Read the log of an instance from where it was read to."""
        last = self._last.get(instance, _START)
        if last == _START or self._cursors.get(instance) is not None:
            await self._read_forward(instance)
            return
        # `last_lines` has left it out, and the instance runs again: only the new lines are read.
        lines = await self._read_backward(instance, None, last.time)
        self._pending += [line for line in reversed(lines) if not _is_read(line, last)]

    async def _read_forward(self, instance: str) -> None:
        """Read the log of an instance from where it was read to, up to the end that it has now.

        An instance may write faster than pages are read: the end that a log has later is perhaps never reached.
        """
        end = _end(self._logs[instance]) if instance in self._updated else None
        has_more = False

        async def fetch(size: int, after: str | None) -> Page[LogLine]:
            log = await self._fetch_lines(instance, first=size, after=after)
            if log is None:
                return empty_page()
            info, last = log["lines"]["pageInfo"], self._last.get(instance, _START)
            lines = [line for line in log["lines"]["nodes"] if not _is_read(line, last)]
            if log["lines"]["nodes"] and not lines:
                # Perhaps that of an earlier call: followed in a circle, a log would have no end.
                message = f"the next page of the log of {instance} cannot be read: the server repeated a page"
                raise PaginationError(message, operation=DEPLOYMENT_LOG_LINES.name)
            nonlocal has_more
            has_more = info["hasNextPage"]
            # An empty page has no cursor: the next read continues after the same line.
            self._cursors[instance] = info["endCursor"] or after
            if not info["hasNextPage"] and log["instanceStopped"] is not None:
                self._finished[instance] = log["instanceStopped"]
                if instance in self._logs:  # a list that ends at its first known page may never have it again
                    self._logs[instance]["instanceStopped"] = log["instanceStopped"]
            return lines, info

        start = self._cursors.get(instance)
        pages = iter_pages(fetch, operation=DEPLOYMENT_LOG_LINES.name, key=_line_key, after=start)
        async with aclosing(pages):
            async for page in pages:
                self._pending += page
                if page:
                    self._last[instance] = _mark(page[-1])
                if has_more and end is None:
                    newest = await self._fetch_lines(instance, last=1)
                    end = _end(newest) if newest else _START
                if end is not None and self._last.get(instance, _START).line >= end.line:
                    break

    async def _read_backward(
        self, instance: str, count: int | None, since: datetime | timedelta | None
    ) -> list[LogLine]:
        """Return the last lines of an instance, last line first, and remember the end of its log.

        The arguments are those of `last_lines`.
        """
        end: tuple[str | None, Mark] | None = None

        async def fetch(size: int, before: str | None) -> Page[LogLine]:
            nonlocal end
            log = await self._fetch_lines(instance, last=size, before=before)
            if log is None:
                return empty_page()
            nodes, info = log["lines"]["nodes"], log["lines"]["pageInfo"]
            if before is None:
                end = info["endCursor"], _end(log)
            return reverse_page(nodes, info)

        limit = None if count is None else max(count, 1)  # with no line at all, the end of the log would stay unknown
        lines: list[LogLine] = []
        pages = iter_pages(fetch, operation=DEPLOYMENT_LOG_LINES.name, key=_line_key, limit=limit)
        async with aclosing(pages):
            async for page in pages:
                lines += page
                # A whole page: after a clock was set back, single lines are in another order than their times.
                start = None if since is None else start_of(since, self._session)
                if start and page and not lines_since(page, start):
                    break
        if end is not None:  # after all pages: if one of them fails, the next call reads all of them again
            self._cursors[instance], self._last[instance] = end
        return lines

    def _stopped(self, instance: str) -> str | None:
        """Return when an instance stopped. None: it runs, as far as is known."""
        log = self._logs.get(instance)
        return log and log["instanceStopped"]

    def _end_time(self, instance: str) -> datetime:
        """Return the latest time at which an instance may have written."""
        stopped = self._stopped(instance)
        return _STILL_RUNNING if stopped is None else parse_time(stopped)

    def _may_have_more(self, instance: str) -> bool:
        """Whether the log of an instance may have more lines than those that were read.

        It has none if the instance has not run again since its log was read to the end, or if that is still its end.
        """
        stopped = self._stopped(instance)
        if stopped is not None and stopped == self._finished.get(instance):
            return False
        if instance not in self._updated or _end(self._logs[instance]) != self._last.get(instance, _START):
            return True
        if stopped is not None:
            self._finished[instance] = stopped
        return False

    async def _instances(self) -> list[str]:
        """Return the names of the instances to read."""
        if self._only_instance is not None:
            return [self._only_instance]
        await self._update_logs()
        return list(self._logs)

    async def _update_logs(self) -> None:
        """Read which instances have a log, newest first, up to the first page that has only known ones."""

        async def fetch(size: int, after: str | None) -> Page[DeploymentLog]:
            first = min(size, _UPDATE_PAGE) if self._logs else size
            variables = DeploymentLogsVariables(id=self._id, first=first, after=after)
            page = (await fetch_by_id(self._session, DEPLOYMENT_LOGS, variables))["logs"]
            return page["nodes"], page["pageInfo"]

        logs: dict[str, DeploymentLog] = {}
        async with aclosing(iter_pages(fetch, operation=DEPLOYMENT_LOGS.name, key=_instance_name)) as pages:
            async for page in pages:
                logs |= {log["instanceName"]: log for log in page}
                if page and all(log["instanceName"] in self._logs for log in page):
                    break
        # Only when all pages were read: with some missing, the next update would stop at the first known page.
        self._logs |= logs
        self._updated = set(logs)

    async def _fetch_lines(
        self,
        instance: str,
        *,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> LogPage | None:
        """Fetch a page of the log of an instance. None: it has no log any more."""
        variables = DeploymentLogLinesVariables(
            id=self._id, instanceName=instance, first=first, after=after, last=last, before=before
        )
        log = (await fetch_by_id(self._session, DEPLOYMENT_LOG_LINES, variables))["log"]
        if log is None and instance == self._only_instance and not self._log_exists:
            raise part_not_found("instance", await self._no_log_message(), DEPLOYMENT_LOG_LINES.name)
        self._log_exists = True
        return log

    async def _no_log_message(self) -> str:
        """Say that the only instance to read has no log, and which instances have one."""
        await self._update_logs()
        names = sorted(self._logs)
        more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
        existing = (
            f"instances with a log: {', '.join(names[:_MAX_NAMES])}{more}" if names else "no instance has a log yet"
        )
        return f"deployment {self._id} has no log of instance {self._only_instance!r}; {existing}"


def _end(log: DeploymentLog | LogPage) -> Mark:
    """Return the last line of a log."""
    nodes = log["lines"]["nodes"]
    return _mark(nodes[-1]) if nodes else _START


def _mark(line: LastLine | LogLine) -> Mark:
    return Mark(line["line"], parse_time(line["dtCreated"]))


def _is_read(line: LogLine, last: Mark) -> bool:
    """Whether a line was read before the last one, or is that one."""
    return line["line"] <= last.line and parse_time(line["dtCreated"]) <= last.time


_instance_name = itemgetter("instanceName")
_line_key = itemgetter("line", "dtCreated")


def sorted_lines(lines: list[LogLine]) -> list[LogLine]:
    """Sort lines by time; those of one instance keep the order of their numbers."""
    return sorted(lines, key=lambda line: (parse_time(line["dtCreated"]), line["instanceName"], line["line"]))


def lines_since(lines: list[LogLine], since: datetime) -> list[LogLine]:
    """Return the lines that were written at this time or later."""
    return [line for line in lines if parse_time(line["dtCreated"]) >= since]
