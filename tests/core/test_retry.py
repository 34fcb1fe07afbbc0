"""The retry policy, tested by tables: no socket, no sleep."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from paperspace.gradient._core.retry import (
    BUDGET,
    FIRST_BACKOFF,
    MAX_BACKOFF,
    MAX_RETRY_AFTER,
    RETRY_COST,
    FailureKind,
    RetryBudget,
    backoff,
    parse_retry_after,
    retry_delay,
)

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("fault", "most"),
    [
        (FailureKind.NOT_SENT, 5),
        (FailureKind.REFUSED, 5),
        (FailureKind.STALE, 5),
        (FailureKind.LOST, 5),
        (FailureKind.CRASHED, 2),
        (FailureKind.BROKEN, 1),
        (FailureKind.FINAL, 0),
        (FailureKind.DOUBTFUL, 0),
    ],
)
def test_retries_by_kind(fault: FailureKind, most: int) -> None:
    """Each kind of failure has its number of retries, and never more than max_retries."""
    for max_retries in (0, 1, 2, 5):
        allowed = [
            resends
            for resends in range(8)
            if retry_delay(fault, retries=resends, same_kind_retries=resends, max_retries=max_retries, jitter=1.0)
            is not None
        ]
        assert allowed == list(range(min(most, max_retries)))


def test_failures_of_several_kinds() -> None:
    """The retries of a kind count for that kind alone: a malformed response is retried after other failures too."""
    assert retry_delay(FailureKind.BROKEN, retries=3, same_kind_retries=0, max_retries=5) is not None
    assert retry_delay(FailureKind.BROKEN, retries=3, same_kind_retries=1, max_retries=5) is None
    assert retry_delay(FailureKind.BROKEN, retries=5, same_kind_retries=0, max_retries=5) is None


def test_every_kind_is_in_the_table() -> None:
    """A new kind of failure needs its number of retries in the table above."""
    [mark] = [mark for mark in test_retries_by_kind.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    assert {row[0] for row in mark.args[1]} == set(FailureKind)


@pytest.mark.parametrize(
    ("fault", "doubt"),
    [
        (FailureKind.NOT_SENT, False),
        (FailureKind.REFUSED, False),
        (FailureKind.FINAL, False),
        (FailureKind.STALE, True),
        (FailureKind.LOST, True),
        (FailureKind.CRASHED, True),
        (FailureKind.BROKEN, True),
        (FailureKind.DOUBTFUL, True),
    ],
)
def test_doubt(fault: FailureKind, doubt: bool) -> None:
    """A request that may have been applied is in doubt; if it is not idempotent, it is not retried."""
    assert fault.may_have_been_applied is doubt
    delay = retry_delay(fault, retries=0, same_kind_retries=0, max_retries=5, idempotent=False, jitter=0.0)
    assert (delay is None) is (doubt or fault is FailureKind.FINAL)


@pytest.mark.parametrize(
    ("resend", "seconds"), [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (5, 1.6), (6, 2.0), (2000, 2.0)]
)
def test_backoff(resend: int, seconds: float) -> None:
    """The wait doubles up to its cap; the jitter takes any share of it."""
    assert backoff(resend, 1.0) == pytest.approx(seconds)
    assert backoff(resend, 0.25) == pytest.approx(seconds / 4)
    assert backoff(resend, 0.0) == 0.0


def test_jitter_is_full() -> None:
    """Without an explicit chance a random one is used: the waits cover the whole range."""
    random.seed(1)
    waits = [retry_delay(FailureKind.LOST, retries=9, same_kind_retries=9, max_retries=10) or 0.0 for _ in range(500)]
    assert min(waits) < MAX_BACKOFF / 10
    assert max(waits) > MAX_BACKOFF * 9 / 10


def test_stale_connection() -> None:
    """A retry after a stale connection does not wait."""
    assert retry_delay(FailureKind.STALE, retries=0, same_kind_retries=0, max_retries=1, jitter=1.0) == 0.0


def test_retry_after_comes_first() -> None:
    """Retry-After is obeyed in full, plus jitter, so that clients do not all return at once."""
    assert (
        retry_delay(FailureKind.REFUSED, retries=0, same_kind_retries=0, max_retries=1, retry_after=7.0, jitter=0.0)
        == 7.0
    )
    assert (
        retry_delay(FailureKind.REFUSED, retries=0, same_kind_retries=0, max_retries=1, retry_after=7.0, jitter=1.0)
        == 7.0 + FIRST_BACKOFF
    )
    assert (
        retry_delay(FailureKind.REFUSED, retries=0, same_kind_retries=0, max_retries=1, retry_after=0.0, jitter=1.0)
        == FIRST_BACKOFF
    )


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("  120 ", 120.0),
        ("Sun, 06 Nov 1994 08:50:07 GMT", 30.0),
        ("Sunday, 06-Nov-94 08:50:07 GMT", 30.0),
        ("Sun Nov  6 08:50:07 1994", 30.0),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER),
        ("1000000000000", MAX_RETRY_AFTER),
        ("9" * 5000, MAX_RETRY_AFTER),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("١٢", None),
        ("²", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 99999999999999999999 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 +999999", None),
        ("\x00", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """Retry-After may be seconds or any of three date formats, relative to the Date of the response; invalid values are ignored."""
    assert parse_retry_after(value, DATE) == seconds


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_retry_after_without_a_date(date: str | None) -> None:
    """If the response has no valid Date, the local clock is used."""
    before = datetime.now(UTC)
    later = format_datetime(before + timedelta(seconds=100), usegmt=True)
    seconds = parse_retry_after(later, date)
    passed = (datetime.now(UTC) - before).total_seconds()
    assert seconds is not None
    assert 99 - passed <= seconds <= 100  # the text has whole seconds


def test_retry_after_of_random_text() -> None:
    """No text raises an error or gives a wait outside the limits."""
    chance = random.Random(7)  # a seed makes it reproducible
    words = [
        "Sun",
        ",",
        "06",
        "Nov",
        "1994",
        "94",
        "08:49:37",
        "GMT",
        "-",
        "+",
        "0000",
        "9" * 30,
        " ",
        "\t",
        "é",
        "\x7f",
    ]
    for _ in range(3000):
        text = "".join(chance.choice(words) for _ in range(chance.randrange(9)))
        seconds = parse_retry_after(text, chance.choice([None, text, DATE]))
        assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER


def test_budget_stops_a_storm() -> None:
    """In an outage a client retries no more than its budget allows, however many calls there are."""
    budget = RetryBudget()
    assert sum(budget.take() for _ in range(10_000)) == BUDGET // RETRY_COST


def test_budget_comes_back() -> None:
    """Calls that succeed return what they took and a little more, up to the full budget."""
    budget = RetryBudget()
    while budget.take():
        pass
    budget.refund(1)
    assert budget.take()
    assert not budget.take()
    for _ in range(RETRY_COST - 1):
        assert not budget.take()
        budget.refund(0)
    assert budget.take()
    budget.refund(10**9)
    assert sum(budget.take() for _ in range(10_000)) == BUDGET // RETRY_COST


def test_budget_lasts_while_calls_succeed() -> None:
    """With 30 % of the requests failing, the budget does not run out."""
    chance = random.Random(3)  # a seed makes it reproducible
    budget = RetryBudget()
    for _ in range(10_000):
        resends = 0
        while chance.random() < 0.3:
            assert budget.take()
            resends += 1
        budget.refund(resends)
