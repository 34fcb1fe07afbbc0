"""Makes synchronous functions of asynchronous ones, so that each is written once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
F = TypeVar("F", bound="Callable[..., object]")
A_co = TypeVar("A_co", covariant=True)


class _End:
    """What comes behind the last item."""


_END = _End()


class Blocking(Protocol[A_co]):
    """An object whose methods are those of another one, made synchronous."""

    @property
    def _awaited(self) -> A_co: ...


def blocking(
    method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Blocking[A], P], R]:
    """The method, made to wait for its result."""

    @functools.wraps(method)
    def call(self: Blocking[A], /, *args: P.args, **kwargs: P.kwargs) -> R:
        from paperspace.gradient._sync.loop_thread import run

        return run(method(self._awaited, *args, **kwargs))

    return _named(call, method)


def blocking_iterator(
    method: Callable[Concatenate[A, P], AsyncGenerator[R]],
) -> Callable[Concatenate[Blocking[A], P], Iterator[R]]:
    """The generator, made to wait for each of its items."""

    @functools.wraps(method)
    def call(self: Blocking[A], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        return _items(method(self._awaited, *args, **kwargs))

    return _named(call, method)


def _named(call: F, method: Callable[..., object]) -> F:
    """The function, under the method's bare name, as the class of the other face would mislead."""
    call.__qualname__ = method.__name__
    return call


def _items(generator: AsyncGenerator[R]) -> Iterator[R]:
    from paperspace.gradient._sync.loop_thread import run

    async def advance() -> R | _End:
        return await anext(generator, _END)

    # When this generator is dropped half way, asyncio ends the other one on its own loop.
    while not isinstance(item := run(advance()), _End):
        yield item
