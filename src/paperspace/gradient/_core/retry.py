"""Retry policy: when to send a request again, as a pure function, and the budget that limits retries in an outage.

`failures` and `responses` say which kind of failure an attempt is; `session` applies the policy within the deadline.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum

FIRST_BACKOFF = 0.1  # seconds
MAX_BACKOFF = 2.0  # seconds
MAX_RETRY_AFTER = 3600.0  # seconds

BUDGET = 500
RETRY_COST = 5


class FailureKind(Enum):
    """What a failed attempt says about its request."""

    NOT_SENT = "no byte of the request was sent"
    REFUSED = "the server did not apply the request, and a retry is allowed"
    STALE = "the server closed an idle connection that was used again"
    LOST = "the request was sent, and no response says whether it was applied"
    CRASHED = "the server failed while it handled the request"
    BROKEN = "the response is complete, but malformed"
    FINAL = "the server did not apply the request, and a retry would fail again"
    DOUBTFUL = "the server may have applied the request, and a retry would not help"

    @property
    def may_have_been_applied(self) -> bool:
        """Whether the server may have applied the request."""
        return self.response_lost or self is FailureKind.DOUBTFUL

    @property
    def response_lost(self) -> bool:
        """Whether the request was sent, and there is no usable response."""
        return self in {FailureKind.STALE, FailureKind.LOST, FailureKind.CRASHED, FailureKind.BROKEN}


# The number of retries after a failure of this kind. All other kinds: `max_retries`.
_MAX_RETRIES = {FailureKind.CRASHED: 2, FailureKind.BROKEN: 1, FailureKind.FINAL: 0, FailureKind.DOUBTFUL: 0}


def retry_delay(
    kind: FailureKind,
    *,
    retries: int,
    same_kind_retries: int,
    max_retries: int,
    retry_after: float | None = None,
    idempotent: bool = True,
    jitter: float | None = None,
) -> float | None:
    """Return the seconds to wait before the request is sent again. None: it must not be sent again.

    Args:
        kind: How the latest attempt failed.
        retries: How many retries there were already.
        same_kind_retries: How many of them followed a failure of this kind.
        max_retries: The most retries of one request.
        retry_after: The seconds that the server asked to wait.
        idempotent: Whether it does no harm if the server applies the request twice.
        jitter: The share of the backoff to wait, from 0 to 1. None: random.
    """
    if retries >= max_retries or same_kind_retries >= _MAX_RETRIES.get(kind, max_retries):
        return None
    if kind.may_have_been_applied and not idempotent:
        return None
    if kind is FailureKind.STALE:
        return 0.0
    # The backoff is added to Retry-After, so that clients that were rejected at the same time do not retry at the same time.
    return (retry_after or 0.0) + backoff(retries + 1, random.random() if jitter is None else jitter)  # noqa: S311


def backoff(retry: int, jitter: float) -> float:
    """Return the seconds before a retry (the first is 1): exponential up to a maximum, times the jitter."""
    return min(FIRST_BACKOFF * 2.0 ** min(retry - 1, 60), MAX_BACKOFF) * jitter  # 60: a float would overflow


class RetryBudget:
    """Limits the retries of all calls of a client, so that retries do not make an outage worse.

    Each retry costs a part of the budget. A call that succeeds refunds its retries, and a little more.
    """

    def __init__(self) -> None:
        self._remaining = BUDGET

    def take(self) -> bool:
        """Pay for one retry. False: the budget is exhausted."""
        if self._remaining < RETRY_COST:
            return False
        self._remaining -= RETRY_COST
        return True

    def refund(self, retries: int) -> None:
        """Refund the retries of a call that succeeded."""
        self._remaining = min(self._remaining + retries * RETRY_COST + 1, BUDGET)


def parse_retry_after(value: str | None, date: str | None) -> float | None:
    """Parse a Retry-After header to seconds. None: there is no usable value.

    A date counts from the Date header of the same response, so that clocks that differ do no harm.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        seconds = float(value)
    else:
        moment = parse_date(value)
        if moment is None:
            return None
        now = parse_date(date) or datetime.now(UTC)
        seconds = (moment - now) / timedelta(seconds=1)
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def parse_date(value: str | None) -> datetime | None:
    """Parse an HTTP date in any of its three formats. None: there is none, or it is invalid."""
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
