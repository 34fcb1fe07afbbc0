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
    """Call `read` again while it fails with a transient error, for as long as one call may take.

    A restart of the server can take longer than the retries of one request. The log says when an outage begins and ends.
    """
    end = min(monotonic() + session.settings.timeout, deadline)
    is_outage = False
    while True:
        try:
            result = await read()
        except TRANSIENT_ERRORS as error:
            interval = max(error.retry_after or 0.0, OUTAGE_POLL)
            if not is_transient(error) or monotonic() + interval >= end:
                raise
            if not is_outage:
                _log.info("The server does not respond; trying again: %s", error.args[0])
            is_outage = True
        else:
            if is_outage:
                _log.info("The server responds again.")
            return result
        await sleep(interval)
