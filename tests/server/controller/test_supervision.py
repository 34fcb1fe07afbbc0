"""Loops that never end: what is logged of their failures."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from paperspace.gradient.server.controller import supervision
from paperspace.gradient.server.controller.engine import EngineUnavailableError
from paperspace.gradient.server.controller.supervision import run_forever

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("error", [EngineUnavailableError("no response"), OSError("the disk is full")])
def test_a_failure_is_logged_once(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure that lasts is logged once; one after a success is logged again."""
    monkeypatch.setattr(supervision, "MIN_PAUSE", 0.0)
    outcomes: Iterator[Exception | None] = iter([error, error, error, None, error, error])

    async def fail() -> None:
        outcome = next(outcomes, asyncio.CancelledError())
        if outcome:
            raise outcome

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run_forever(fail))
    assert len(caplog.records) == 2
