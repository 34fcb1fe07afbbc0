"""Frames of a traceback. Crash reporters, and notebooks on request, show their variables, which may be secrets."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from paperspace.gradient.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def without_frames(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function whose configuration errors have no frames of it.

    Variables there are the API key, the whole environment, or a proxy with its password.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ConfigurationError as error:
            error.with_traceback(None)
            raise

    return call
