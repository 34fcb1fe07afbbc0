"""The time of a request: only that in which it could run counts."""

from __future__ import annotations

import time

import pytest

from paperspace.gradient.server.storage.budget import MAXIMUM, Budget, BudgetExceededError


def work(budget: Budget) -> None:
    """Look at the clock all the time, as a request that never ends."""
    while True:
        budget.check()


def test_a_pause_of_the_process() -> None:
    """A request is not over its time because the process was stopped for longer; its own work still counts."""
    budget = Budget(MAXIMUM._replace(seconds=1.2))
    budget.check()
    time.sleep(1.5)  # nothing looks at the clock, as while the process is stopped
    budget.check()
    with pytest.raises(BudgetExceededError, match=r"more than 1\.2 seconds"):
        work(budget)
