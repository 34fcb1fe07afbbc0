"""The lines of a deployment's logs, in order, over all its instances; none twice, none lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from paperspace.gradient._generated.deployment_log_lines import DEPLOYMENT_LOG_LINES, DeploymentLogLinesVariables
from paperspace.gradient._generated.deployment_logs import DEPLOYMENT_LOGS, DeploymentLogsVariables
from paperspace.gradient._lookups import no_such, not_found
from paperspace.gradient._paging import MAX_PAGE
from paperspace.gradient.errors import PaginationError

if TYPE_CHECKING:
    from paperspace.gradient._generated.deployment_log_lines import DeploymentLogLineConnection
    from paperspace.gradient._session import Session
    from paperspace.gradient.types import LogLine

# So many names show what the others are like.
_MOST_NAMES = 5


class LogReader:
    """Reads the logs of one deployment; remembers how far it has read in each of them."""

    def __init__(self, session: Session, id: str, instance: str | None) -> None:
        self._session = session
        self._id = id
        self._only = instance
        self._found = False
        self._cursors: dict[str, str | None] = {}

    async def new_lines(self) -> list[LogLine]:
        """The lines that were not read yet, of all instances, by time.

        Raises:
            NotFoundError: There is no such deployment (any more), or at the first reading no log of the one instance.
        """
        lines: list[LogLine] = []
        for instance in await self._instances():
            more = True
            while more:
                after = self._cursors.get(instance)
                page = await self._page(instance, first=MAX_PAGE, after=after)
                if page is None or not page["nodes"]:
                    break
                lines += page["nodes"]
                self._cursors[instance] = page["pageInfo"]["endCursor"]
                more = page["pageInfo"]["hasNextPage"]
                if more and self._cursors[instance] == after:
                    raise PaginationError("the server says that a log goes on, but does not get on with it")
        return in_order(lines)

    async def last_lines(self, count: int) -> list[LogLine]:
        """The last so many lines of all instances together, by time; everything before them counts as read."""
        lines: list[LogLine] = []
        for instance in await self._instances():
            before: str | None = None
            left = max(count, 1)  # one at least, to know where the end is
            while left > 0:
                page = await self._page(instance, last=min(left, MAX_PAGE), before=before)
                if page is None or not page["nodes"]:
                    break
                self._cursors.setdefault(instance, page["pageInfo"]["endCursor"])
                lines += page["nodes"]
                left -= len(page["nodes"])
                before = page["pageInfo"]["startCursor"]
                if not page["pageInfo"]["hasPreviousPage"]:
                    break
        return in_order(lines)[-count:] if count else []

    async def _instances(self) -> list[str]:
        """The names of the instances whose logs are to be read."""
        return await self._names() if self._only is None else [self._only]

    async def _names(self) -> list[str]:
        """The names of the instances that have a log."""
        names: list[str] = []
        after = None
        while True:
            result = await self._session.run(
                DEPLOYMENT_LOGS, DeploymentLogsVariables(id=self._id, first=MAX_PAGE, after=after)
            )
            if result["deployment"] is None:
                raise not_found(self._id, DEPLOYMENT_LOGS.name)
            logs = result["deployment"]["logs"]
            names += [log["instanceName"] for log in logs["nodes"]]
            if not logs["pageInfo"]["hasNextPage"] or logs["pageInfo"]["endCursor"] in {None, after}:
                return names
            after = logs["pageInfo"]["endCursor"]

    async def _page(
        self,
        instance: str,
        *,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> DeploymentLogLineConnection | None:
        variables = DeploymentLogLinesVariables(
            id=self._id, instanceName=instance, first=first, after=after, last=last, before=before
        )
        result = await self._session.run(DEPLOYMENT_LOG_LINES, variables)
        if result["deployment"] is None:
            raise not_found(self._id, DEPLOYMENT_LOG_LINES.name)
        log = result["deployment"]["log"]
        if log is None and instance == self._only and not self._found:
            raise no_such("instance", await self._what_there_is(), DEPLOYMENT_LOG_LINES.name)
        self._found = True
        return log and log["lines"]

    async def _what_there_is(self) -> str:
        """In words, that there is no log of the one instance, and of which there is one."""
        names = sorted(await self._names())
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        there = f"there are those of {', '.join(names[:_MOST_NAMES])}{more}" if names else "none has one yet"
        return f"the deployment {self._id} has no log of an instance {self._only!r}: {there}"


def in_order(lines: list[LogLine]) -> list[LogLine]:
    """The lines by time; those of one instance stay in the order of their numbers."""
    return sorted(lines, key=lambda line: (line["dtCreated"], line["instanceName"], line["line"]))


def written_since(line: LogLine, since: datetime) -> bool:
    """Whether a line was written at this moment or later."""
    written = datetime.fromisoformat(line["dtCreated"])
    return _in_utc(written) >= _in_utc(since)


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
