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

from paperspace.gradient._shared.fork import importing


class LazyModule:
    """Stand-in for a module, which is imported on the first access to one of its names."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> object:
        from importlib import import_module  # here, as it takes as long to load as the rest of this module

        with importing():  # after the first time, only a look-up in sys.modules
            module = import_module(self._name)
        return getattr(module, attribute)

    def __repr__(self) -> str:
        return f"LazyModule({self._name!r})"


def lazy_modules(package: str, *names: str) -> tuple[LazyModule, ...]:
    """Return a stand-in for each of these modules of a package.

    Args:
        package: The full name of the package.
        names: The names of the modules in it, such as `_queries`.
    """
    return tuple(LazyModule(f"{package}.{name}") for name in names)
