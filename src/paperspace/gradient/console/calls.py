"""Actions and streams: their arguments, their errors as JSON, and the lines of a stream."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from paperspace.gradient.deployments._outages import is_transient
from paperspace.gradient.errors import GradientError, InvalidArgumentError

if TYPE_CHECKING:
    from paperspace.gradient.client import AsyncClient

HEARTBEAT = 5.0  # seconds; the page takes a connection for lost that is silent for three of them

_END = object()

_log = logging.getLogger(__name__)


class Arguments(dict[str, Any]):
    """The arguments of an action or a stream, by name. The functions of the library check those that they get."""

    def __missing__(self, name: str) -> Any:
        raise InvalidArgumentError(f"{name}: missing")

    def text(self, name: str, default: str | None = None) -> str:
        """Return an argument that the console itself uses as text.

        Args:
            name: The name of the argument.
            default: The value if the argument is missing or null. None: it is required.
        """
        value = self[name] if default is None else self.get(name)
        value = default if value is None else value
        if not isinstance(value, str):
            raise InvalidArgumentError(f"{name}: expected text, got a value of type {type(value).__name__}")
        with suppress(UnicodeEncodeError):
            value.encode()
            return value
        raise InvalidArgumentError(f"{name}: half of a surrogate pair is not text")


Action = Callable[["AsyncClient", Arguments], Awaitable[object]]
Stream = Callable[["AsyncClient", Arguments], AsyncGenerator[object]]


def error_json(error: Exception) -> dict[str, Any]:
    """Return an error as JSON. What is not an error of the library is a bug: the log has its traceback."""
    if not isinstance(error, GradientError):
        _log.error("internal error of the console", exc_info=error)
        message = "internal error; the output of the command that serves the console has its traceback"
        return {"kind": "InternalError", "message": message, "retryable": False}
    return {"kind": type(error).__name__, "message": str(error.args[0]), "retryable": is_transient(error)}


async def lines(values: AsyncGenerator[object], closed: asyncio.Future[None]) -> AsyncGenerator[bytes]:
    """Yield the lines of a stream: its values, heartbeats while there is none, and its end.

    Args:
        values: The values.
        closed: Ends the lines without a last one, so that the page connects again.
    """
    async with aclosing(values):
        following: asyncio.Future[object] = asyncio.ensure_future(anext(values, _END))
        try:
            while True:
                waiting: set[asyncio.Future[Any]] = {following, closed}
                await asyncio.wait(waiting, timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
                if closed.done():
                    return
                if not following.done():
                    yield _line({})
                elif error := following.exception():
                    if not isinstance(error, Exception):
                        raise error
                    yield _line({"error": error_json(error)})
                    return
                elif following.result() is _END:
                    yield _line({"end": True})
                    return
                else:
                    yield _line({"value": following.result()})
                    following = asyncio.ensure_future(anext(values, _END))
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"
