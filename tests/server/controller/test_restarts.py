"""Back-off, and the reasons of exits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from paperspace.gradient.server.controller.engine import Container, ContainerKey
from paperspace.gradient.server.controller.restarts import crashes_in_a_row, delay, exit_reason, output_excerpt

NOW = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)


def test_delays_double_up_to_five_minutes() -> None:
    """The first restart waits for one second, each further one twice as long, at most five minutes."""
    assert [delay(crashes).total_seconds() for crashes in range(1, 12)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert delay(10**6) == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("before", "healthy_for", "expected"),
    [(0, None, 1), (3, None, 4), (3, timedelta(minutes=9, seconds=59), 4), (3, timedelta(minutes=10), 1)],
)
def test_ten_healthy_minutes_reset_the_count(before: int, healthy_for: timedelta | None, expected: int) -> None:
    """Crashes count in a row, until a container was healthy for ten minutes."""
    healthy_since = None if healthy_for is None else NOW - healthy_for
    assert crashes_in_a_row(before, healthy_since, NOW) == expected


@pytest.mark.parametrize(
    ("exit_code", "out_of_memory", "reason"),
    [
        (0, False, "Exited with code 0."),
        (1, False, "Exited with code 1."),
        (137, False, "Ended by SIGKILL."),
        (143, False, "Ended by SIGTERM."),
        (137, True, "Out of memory."),
        (255, False, "Exited with code 255."),
        (None, False, "Exited."),
    ],
)
def test_reasons_of_exits(exit_code: int | None, out_of_memory: bool, reason: str) -> None:
    """The reason is the exit code, the signal, or that there was no more memory."""
    container = Container("c", ContainerKey("d", "i", 1, "t"), "exited", 21000, exit_code=exit_code)
    assert exit_reason(container._replace(out_of_memory=out_of_memory)) == reason


def test_output_is_one_line_of_limited_length() -> None:
    """The last lines of the output are joined; empty ones are left out; the end is kept if they are too long."""
    assert output_excerpt(["Traceback:", "", "  KeyError: 'model' "]) == "Traceback: | KeyError: 'model'"
    assert output_excerpt(["x" * 1000, "end"]).endswith("x | end")
    assert len(output_excerpt(["x" * 1000])) == 500
