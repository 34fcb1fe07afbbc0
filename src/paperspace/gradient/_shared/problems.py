"""Problems: what is wrong with an argument or with a field of a spec, and how it is shown."""

from __future__ import annotations

import reprlib
from typing import Literal, NamedTuple

# Characters of a value that a message shows.
MAX_SHOWN = 80

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = MAX_SHOWN

Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """One invalid argument, or one invalid field of a spec.

    Attributes:
        path: Where it is, such as `("spec", "env", 0, "name")`.
        value: The invalid value; a short text in its place where it is long or not plain data. None: no value.
        expected: What is valid there, such as "an integer from 1 to 65535".
        hint: What to do about it. None: no hint.
        kind: `invalid` for a value that is not valid, `missing` for a required field that is not set, and
            `unknown_field` for a field that does not exist.

    Example:
        >>> from paperspace.gradient.errors import Problem
        >>> print(Problem(("spec", "port"), 0, "an integer from 1 to 65535"))
        spec.port: expected an integer from 1 to 65535, got 0
    """

    path: Path
    value: object
    expected: str
    hint: str | None = None
    kind: Literal["invalid", "missing", "unknown_field"] = "invalid"

    @property
    def field(self) -> str:
        """The path as it is written in code, such as `spec.env[0].name`.

        Example:
            >>> from paperspace.gradient.errors import Problem
            >>> Problem(("spec", "env", 0, "name"), "", "the name of an environment variable").field
            'spec.env[0].name'
        """
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return "".join(steps).removeprefix(".")

    def __str__(self) -> str:
        return self.describe()

    def describe(self, *, show_value: bool = True, root: int = 0) -> str:
        """Describe the problem in one line.

        Args:
            show_value: Whether to show the invalid value.
            root: How many steps of the path to leave out at its start.

        Example:
            >>> from paperspace.gradient.errors import Problem
            >>> Problem(("spec", "port"), 0, "an integer from 1 to 65535").describe(show_value=False, root=1)
            'port: expected an integer from 1 to 65535'
        """
        if self.kind == "unknown_field":
            message = "unknown field"
        elif self.kind == "missing":
            message = f"missing; expected {self.expected}"
        elif show_value:
            message = f"expected {self.expected}, got {abbreviate(self.value)!r}"
        else:
            message = f"expected {self.expected}"
        field = self._replace(path=self.path[root:]).field
        return (f"{field}: " if field else "") + message + (f" ({self.hint})" if self.hint else "")


def join_problems(title: str, lines: list[str]) -> str:
    """Join problems below a title: a single one on the same line, several on lines of their own."""
    if len(lines) == 1:
        return f"{title}: {lines[0]}" if title else lines[0]
    return "\n  ".join([f"{title}:", *lines])


class Placeholder(str):
    """A text that stands for a value: its repr has no quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def abbreviate(value: object) -> object:
    """Return the value if it is short plain data, else a short text in its place, whatever its repr does."""
    if value is None or (isinstance(value, bool | float | str) and type(value).__module__ == "builtins"):
        return value if not isinstance(value, str) or len(value) <= MAX_SHOWN else Placeholder(shorten(repr(value)))
    if isinstance(value, Placeholder):
        return value
    try:
        return Placeholder(shorten(_repr.repr(value)))
    except Exception:  # noqa: BLE001  # a repr may raise anything; int's does for thousands of digits
        return hide(value)


def hide(value: object) -> object:
    """Return a text that stands for a value that may be secret: its type. None is returned as it is."""
    return None if value is None else Placeholder(f"a value of type {type(value).__name__}")


def hide_unless_plain(value: object) -> object:
    """Return the value if it is a text or a number. Anything else may hold secrets and is hidden."""
    return abbreviate(value) if isinstance(value, bool | int | float | str) else hide(value)


def shorten(text: str, limit: int = MAX_SHOWN) -> str:
    """Cut the text to `limit` characters, with an ellipsis at the end."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
