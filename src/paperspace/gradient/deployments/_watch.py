"""Watch a deployment: poll its status until it is ready, stopped or failed, and read its logs as they are written."""

from __future__ import annotations

from asyncio import sleep
from asyncio import timeout as time_limit
from copy import deepcopy
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from paperspace.gradient._generated.deployment_status import DEPLOYMENT_STATUS
from paperspace.gradient._shared.event_loops import monotonic
from paperspace.gradient.deployments._errors import spec_replaced
from paperspace.gradient.deployments._events import unread_events
from paperspace.gradient.deployments._logs import LogReader, lines_since
from paperspace.gradient.deployments._outages import TRANSIENT_ERRORS, retry_in_outage
from paperspace.gradient.deployments._queries import id_of, same_id, start_of
from paperspace.gradient.deployments._status import events_between
from paperspace.gradient.deployments._status_queries import deployment_status
from paperspace.gradient.deployments._wait_errors import wait_timeout
from paperspace.gradient.errors import APIError, GradientError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from datetime import datetime

    from paperspace.gradient._core.session import Session
    from paperspace.gradient.types import DeploymentEvent, DeploymentStatus, LogLine, WatchEvent

# Seconds between two polls: short at first, then growing to `max_poll_interval` of the client.
FIRST_POLL = 0.25
POLL_GROWTH = 1.5

# Seconds between two polls of logs, however long nothing is written: each is one small request.
LOG_POLL = 0.3

# Seconds that the last poll gets at least, however little time remains.
MIN_REQUEST = 0.05


async def watch(
    session: Session, id: str | None, name: str | None, project_id: str | None, timeout: float, spec_id: str | None
) -> AsyncGenerator[WatchEvent]:
    """Poll the status of a deployment until it is not pending any more, and yield what changes.

    Args:
        session: The session to read it with.
        id: The id of the deployment. None: look for its name.
        name: Its exact name.
        project_id: The project in which to look for the name. None: any project.
        timeout: The seconds until the last event.
        spec_id: The id of the spec to watch. None: whichever is the newest.

    Raises:
        NotFoundError: No deployment has this id or name, or it was deleted in the meantime.
        ConflictError: Several deployments have the name, or another spec is the newest.
        WaitTimeoutError: It is still pending after `timeout` seconds.
    """
    deadline = monotonic() + timeout
    status: DeploymentStatus | None = None
    longest = session.settings.max_poll_interval
    interval = min(FIRST_POLL, longest)
    found = id

    async def poll() -> DeploymentStatus:
        nonlocal found
        remaining = max(deadline - monotonic(), MIN_REQUEST)
        limited = session.with_settings(timeout=min(remaining, session.settings.timeout))
        # A single request that takes too long has the better error, so its limit is a little earlier.
        async with time_limit(remaining + MIN_REQUEST):
            call = limited.start()
            found = await id_of(limited, call, found, name, project_id)
            return await deployment_status(limited, found, call)

    while True:
        try:
            # An outage before the first status is an error at once: most likely a setting is wrong.
            new_status = await (poll() if status is None else retry_in_outage(session, poll, deadline))
        except (*TRANSIENT_ERRORS, TimeoutError) as error:
            if isinstance(error, APIError) and monotonic() < deadline:
                raise
            raise await wait_timeout(session, found or repr(name), timeout, status) from error
        is_last = monotonic() >= deadline  # now: while the caller handles the events, the deployment may become ready
        if spec_id is not None and not same_id(new_status["specId"], spec_id):
            raise spec_replaced(new_status, spec_id, DEPLOYMENT_STATUS.name)
        events = list(events_between(status, new_status))
        status = deepcopy(new_status)  # the caller may change what it gets
        for event in events:
            yield event
        if status["state"] != "pending":
            return
        if is_last:
            raise await wait_timeout(session, found or repr(name), timeout, status)
        await sleep(min(interval, deadline - monotonic()))
        interval = min(interval * POLL_GROWTH, longest)


async def log_lines(
    session: Session,
    id: str,
    instance: str | None,
    tail: int | None,
    since: datetime | timedelta | None,
    *,
    follow: bool,
) -> AsyncGenerator[LogLine]:
    """Yield the log lines of a deployment by time; with `follow`, until it is stopped or deleted."""
    reader = LogReader(session, id, instance)
    is_whole_log = tail is None and since is None
    lines = await (reader.new_lines() if is_whole_log else reader.last_lines(tail, since))
    start = None if since is None else start_of(since, session)  # here, where the clock of the server is known
    longest = session.settings.max_poll_interval
    interval = first = min(FIRST_POLL, longest)
    status_due = monotonic()
    error: GradientError | None = None  # raised after the lines of other instances that were already read
    while True:
        for line in lines if start is None else lines_since(lines, start):
            yield line
        if error is not None:
            raise error
        if not follow:
            return
        if isinstance(since, timedelta):
            start = None  # from now on, every line is new, although the clock of the engine may be behind that of the server
        if lines:
            interval, status_due = first, min(status_due, monotonic() + first)
        await sleep(min(interval, LOG_POLL))
        try:
            # The status first: what was written before it became `stopped` is still read below.
            if monotonic() >= status_due:
                status = await retry_in_outage(session, partial(deployment_status, session, id))
                follow = status["state"] != "stopped"
                interval = min(interval * POLL_GROWTH, longest)
                status_due = monotonic() + interval
            lines = await retry_in_outage(session, reader.new_lines)
        except NotFoundError:
            lines, follow = reader.pending_lines(), False
        except GradientError as failure:
            lines, error = reader.pending_lines(), failure


async def follow_events(session: Session, id: str, first: int | None) -> AsyncGenerator[DeploymentEvent]:
    """Yield the events of a deployment by time, and then each event whenever it happens, until the deployment is deleted.

    Args:
        session: The session to read them with.
        id: The id of the deployment.
        first: The maximum number of events that have happened before. None: all.
    """
    read: dict[str, str] = {}  # the last time of each event
    events = await unread_events(session, id, read)
    newest = events[:first]
    longest = session.settings.max_poll_interval
    interval = first_interval = min(FIRST_POLL, longest)
    while True:
        read |= {event["id"]: event["dtLast"] for event in events}
        for event in reversed(newest):
            yield event
        interval = first_interval if newest else min(interval * POLL_GROWTH, longest)
        await sleep(interval)
        try:
            events = newest = await retry_in_outage(session, partial(unread_events, session, id, read))
        except NotFoundError:
            return
