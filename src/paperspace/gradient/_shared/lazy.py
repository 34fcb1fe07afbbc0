"""Lazy imports: modules that are loaded when one of their names is first used.

Importing the library has to stay fast, so the modules that do the work are not loaded with it. A module that uses them
names them twice, once for type checkers and once for the interpreter, and then calls them like any other module:

    if TYPE_CHECKING:
        from paperspace.gradient.deployments import _arguments, _queries
    else:
        _arguments, _queries = lazy_modules("paperspace.gradient.deployments", "_arguments", "_queries")

`tests/test_layout.py` checks that both lists are the same.
"""

from __future__ import annotations

import os
from _thread import get_ident
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

# The threads that import a lazy module now.
_importing: set[int] = set()


class LazyModule:
    """Stand-in for a module, which is imported on the first access to one of its names."""

    __slots__ = ("_module", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._module: ModuleType | None = None

    def __getattr__(self, attribute: str) -> object:
        if get_ident() in _importing:
            raise _interrupted_import()
        if self._module is None:
            self._module = _import(self._name)
        return getattr(self._module, attribute)

    def __repr__(self) -> str:
        return f"LazyModule({self._name!r})"


def lazy_modules(package: str, *names: str) -> tuple[LazyModule, ...]:
    """Return a stand-in for each of these modules of a package.

    Args:
        package: The full name of the package.
        names: The names of the modules in it, such as `_queries`.
    """
    return tuple(LazyModule(f"{package}.{name}") for name in names)


def _import(name: str) -> ModuleType:
    _importing.add(get_ident())
    try:
        from importlib import import_module  # here, as it takes as long to load as the rest of this module

        return import_module(name)  # the import lock makes it safe in threads
    finally:
        _importing.discard(get_ident())


def _interrupted_import() -> Exception:
    """Return the error of a call in a signal handler that interrupted an import in its own thread.

    The import cannot end before the handler does. The call would use half a module, or wait for an import in another
    thread, which waits for this one.
    """
    from paperspace.gradient.errors import GradientError

    return GradientError(
        "a signal handler made a call while the library was being imported; make a call before the handler is installed"
    )


def _after_fork_in_child() -> None:
    """Forget the imports of threads that do not run in the child."""
    _importing.intersection_update({get_ident()})


os.register_at_fork(after_in_child=_after_fork_in_child)
