"""When to send again, and how long to wait before: a pure rule over what happened so far, and the budget for storms."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum

FIRST_BACKOFF = 0.1
LAST_BACKOFF = 2.0
LONGEST_RETRY_AFTER = 3600.0

BUDGET = 500
RETRY_COST = 5


class FailureKind(Enum):
    """What a failure says about the request that met it."""

    NOT_SENT = "no byte of the request was written"
    REFUSED = "the server says that it did not carry it out, and that it may be sent again"
    STALE = "a kept connection was closed before an answer began"
    LOST = "it was written, and there is no complete answer"
    CRASHED = "the server met a fault of its own on the way"
    BROKEN = "there is a complete answer that makes no sense"
    FINAL = "it was refused for good, and not carried out"
    DOUBTFUL = "it failed for good, and may have been carried out"

    @property
    def in_doubt(self) -> bool:
        """Whether the server may have carried the request out."""
        return self not in {FailureKind.NOT_SENT, FailureKind.REFUSED, FailureKind.FINAL}


# The resends that a fault is worth; for the others it is `max_retries`.
_MOST_RESENDS = {FailureKind.CRASHED: 2, FailureKind.BROKEN: 1, FailureKind.FINAL: 0, FailureKind.DOUBTFUL: 0}


def resend_delay(
    fault: FailureKind,
    *,
    resends: int,
    alike: int,
    max_retries: int,
    retry_after: float | None = None,
    idempotent: bool = True,
    chance: float | None = None,
) -> float | None:
    """The seconds to wait before the request is sent again; None where it is not to be.

    Args:
        fault: What happened to the latest request.
        resends: How often it was sent again already.
        alike: How often of these after the same fault.
        max_retries: How often it may be sent again at most.
        retry_after: What the server asked for, in seconds.
        idempotent: Whether the server may carry the request out twice without harm.
        chance: What the jitter makes of the wait, 0 to 1; drawn where it is not given.
    """
    if resends >= max_retries or alike >= _MOST_RESENDS.get(fault, max_retries):
        return None
    if fault.in_doubt and not idempotent:
        return None
    if fault is FailureKind.STALE:
        return 0.0
    # On top of what the server asks for, so that those whom it sent away together do not come back together.
    return (retry_after or 0.0) + backoff(resends + 1, random.random() if chance is None else chance)  # noqa: S311


def backoff(resend: int, chance: float) -> float:
    """The seconds before a resend (1 is the first): doubling, capped, and of that a share by chance."""
    return min(FIRST_BACKOFF * 2.0 ** min(resend - 1, 60), LAST_BACKOFF) * chance  # 60: floats have an end


class Budget:
    """Limits the resends of all the calls of a client, so that an outage is not made worse.

    A resend takes from it. A call that succeeds in the end gives back what its resends took, and a little more.
    """

    def __init__(self) -> None:
        self._left = BUDGET

    def take(self) -> bool:
        """Takes what one resend costs; False where that is not left."""
        if self._left < RETRY_COST:
            return False
        self._left -= RETRY_COST
        return True

    def give_back(self, resends: int) -> None:
        """Credits a call that succeeded after so many resends."""
        self._left = min(self._left + resends * RETRY_COST + 1, BUDGET)


def parse_retry_after(value: str | None, date: str | None) -> float | None:
    """The seconds in a Retry-After header, None where it says nothing of use.

    A date is taken relative to the Date header of the same answer, so that clocks that differ do no harm.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        seconds = float(value)
    else:
        moment = _parse_date(value)
        if moment is None:
            return None
        now = (_parse_date(date) if date else None) or datetime.now(UTC)
        seconds = (moment - now) / timedelta(seconds=1)
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _parse_date(value: str) -> datetime | None:
    """An HTTP date in any of its three forms."""
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
