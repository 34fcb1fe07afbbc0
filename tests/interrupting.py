"""Interrupt a call at any of its steps."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType


class AlarmError(Exception):
    """What the handler of a signal raises."""


def _alarm() -> None:
    raise AlarmError


def interrupt(
    call: Callable[[], object], step: int, within: str = "", *, handler: Callable[[], object] = _alarm
) -> str | None:
    """Make a call and run a handler at one of its steps: when a function begins, or one in C ends, as a signal handler could.

    By default, the handler raises AlarmError.

    Only steps in files whose path contains `within` count. Return the function of this step. None: the call has fewer steps.
    """
    steps = itertools.count()
    reached: str | None = None

    def profile(frame: FrameType, event: str, _arg: object) -> None:
        nonlocal reached
        counts = event in {"call", "c_return"} and within in frame.f_code.co_filename
        if counts and next(steps) == step:
            sys.setprofile(None)
            reached = f"{frame.f_code.co_name} in {frame.f_code.co_filename}"
            handler()

    before = sys.getprofile()
    with suppress(AlarmError):
        try:
            sys.setprofile(profile)
            call()
        finally:
            sys.setprofile(before)
    return reached
