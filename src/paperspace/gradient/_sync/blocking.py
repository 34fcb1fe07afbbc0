"""Make sync functions from async ones, so that each function is written once."""

from __future__ import annotations

import functools
from types import FunctionType
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from paperspace.gradient._shared.interrupts import noted_interrupts
from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.errors import GradientError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
    from typing import Any, Concatenate, Protocol

    from paperspace.gradient._sync import loop_thread

    A_co = TypeVar("A_co", covariant=True)

    class Blocking(Protocol[A_co]):
        """An object whose methods are the sync versions of another object's methods."""

        @property
        def _async(self) -> A_co: ...

else:
    [loop_thread] = lazy_modules("paperspace.gradient._sync", "loop_thread")

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
F = TypeVar("F", bound="Callable[..., object]")


def without_inner_frames(error: GradientError) -> GradientError:
    """Remove the frames of the library from an error and its causes: they hide the line of the caller."""
    cause: BaseException | None = error
    while cause is not None:
        cause.__traceback__ = None
        cause = cause.__cause__
    return error


class _End:
    """Marks the end of a generator."""


_END = _End()


def blocking(
    method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Blocking[A], P], R]:
    """Return the sync version of a method, which waits for the result."""

    @functools.wraps(method)
    def call(self: Blocking[A], /, *args: P.args, **kwargs: P.kwargs) -> R:
        coroutine = method(self._async, *args, **kwargs)
        try:
            with noted_interrupts():
                return loop_thread.run(coroutine)
        except GradientError as error:
            raise without_inner_frames(error)
        except BaseException:
            # Perhaps of a signal handler before `run` began: Python warns of a coroutine that is dropped.
            loop_thread.cancel(coroutine)
            raise

    return public(call, method)


def blocking_iterator(
    method: Callable[Concatenate[A, P], AsyncGenerator[R]],
) -> Callable[Concatenate[Blocking[A], P], Generator[R]]:
    """Return the sync version of a generator method, which waits for each item."""

    def iterate(generator: AsyncGenerator[R]) -> Generator[R]:
        async def advance() -> R | _End:
            return await anext(generator, _END)

        # If this iterator is dropped before its end, asyncio closes the async generator on its own loop.
        while True:
            coroutine = advance()
            try:
                item = loop_thread.run(coroutine)
            except GradientError as error:
                raise without_inner_frames(error)
            except BaseException:  # as in `blocking`
                loop_thread.cancel(coroutine)
                raise
            if isinstance(item, _End):
                return
            yield item

    public(iterate, method)

    @functools.wraps(method)
    def call(self: Blocking[A], /, *args: P.args, **kwargs: P.kwargs) -> Generator[R]:
        try:
            return iterate(method(self._async, *args, **kwargs))
        except GradientError as error:
            raise without_inner_frames(error)

    described = _described_as_sync(method)
    call.__wrapped__ = described  # `help` reads the signature from it
    call.__annotations__ = described.__annotations__
    return public(call, method)


def _described_as_sync(method: F) -> F:
    """Return a copy of a generator method whose annotations are those of the sync version."""
    copy = FunctionType(method.__code__, method.__globals__, method.__name__, method.__defaults__, method.__closure__)
    copy.__kwdefaults__ = method.__kwdefaults__
    returned = str(method.__annotations__["return"]).replace("AsyncGenerator", "Generator")
    copy.__annotations__ = {**method.__annotations__, "return": returned}
    return cast("F", copy)


def public(call: F, method: Callable[..., object]) -> F:
    """Name both versions like the function that users call: without the class of the method, which is private.

    Tracebacks, TypeErrors and the warning about a missing `await` show the name.
    """
    name = method.__name__
    call.__name__ = call.__qualname__ = method.__qualname__ = name
    call.__code__ = call.__code__.replace(co_name=name)
    return call
