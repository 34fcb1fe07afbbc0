"""Outages: which errors they explain, and how polling goes on after them."""

from __future__ import annotations

import logging
from asyncio import sleep
from math import inf
from typing import TYPE_CHECKING, TypeVar

from paperspace.gradient._shared.event_loops import monotonic
from paperspace.gradient.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    EndpointNotFoundError,
    RateLimitError,
    RedirectError,
    ServerError,
    TLSError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from paperspace.gradient._core.session import Session

T = TypeVar("T")

_log = logging.getLogger("paperspace.gradient.outages")

# Seconds between two polls during an outage.
OUTAGE_POLL = 1.0

# Errors that an outage explains, so that polling goes on; and those of their subclasses that stay until somebody acts.
TRANSIENT_ERRORS = (APIConnectionError, APITimeoutError, APIStatusError, RateLimitError, ServerError)
PERMANENT_ERRORS = (TLSError, EndpointNotFoundError, RedirectError)


def is_transient(error: Exception) -> bool:
    """Return whether an outage explains an error, so that polling goes on."""
    return isinstance(error, TRANSIENT_ERRORS) and not isinstance(error, PERMANENT_ERRORS)


async def retry_in_outage(session: Session, read: Callable[[], Awaitable[T]], deadline: float = inf) -> T:
    """Call `read` again while it fails with a transient error, until this takes longer than one call may take.

    A restart of the server can take longer than the retries of one request. The time counts from the first failure: a process
    that is stopped during a request, by Ctrl-Z for example, has used up the time of that request when it continues. The log
    says when an outage begins and ends.
    """
    end: float | None = None  # of the outage. None: there is none
    while True:
        try:
            result = await read()
        except TRANSIENT_ERRORS as error:
            now, interval = monotonic(), max(error.retry_after or 0.0, OUTAGE_POLL)
            is_new = end is None
            if end is None:
                end = min(now + session.settings.timeout, deadline)
            if not is_transient(error) or now + interval >= end:
                raise
            if is_new:
                _log.info("The server does not respond; trying again: %s", error.args[0])
        else:
            if end is not None:
                _log.info("The server responds again.")
            return result
        await sleep(interval)
