"""Options of a command that belong together, and reach its function as one value."""

from __future__ import annotations

from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

Values = TypeVar("Values")


def option_group(name: str, values: Callable[..., Values], *options: Decorator) -> Decorator:
    """Return a decorator that adds options to a command.

    Args:
        name: The argument of the command's function.
        values: The class of its value: a named tuple whose fields are the options.
        options: The options, in the order of the help.
    """

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        fields = signature(values).parameters

        @wraps(function)
        def with_group(**arguments: Any) -> Any:
            group = values(**{field: arguments.pop(field) for field in fields})
            return function(**arguments, **{name: group})

        decorated: Callable[..., Any] = with_group
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return add
