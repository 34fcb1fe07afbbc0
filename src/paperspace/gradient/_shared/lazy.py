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

from _thread import RLock  # threading takes longer to load

from paperspace.gradient._shared.fork import at_fork

# Seconds that a fork waits until no thread imports a lazy module.
_IMPORT_TIMEOUT = 5.0

# Held by the thread that imports a lazy module. A fork waits for it: in the child, the import would never end, and each call
# that needs the module would wait for it.
_import_lock = RLock()
_held_for_forks: list[bool] = []
_prepared = False


class LazyModule:
    """Stand-in for a module, which is imported on the first access to one of its names."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> object:
        from importlib import import_module  # here, as it takes as long to load as the rest of this module

        _prepare_for_forks()
        with _import_lock:  # after the first time, only a look-up in sys.modules
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


def _before_fork() -> None:
    _held_for_forks.append(_import_lock.acquire(timeout=_IMPORT_TIMEOUT))


def _after_fork_in_parent() -> None:
    if _held_for_forks and _held_for_forks.pop():
        _import_lock.release()


def _after_fork_in_child() -> None:
    """Replace the lock: a thread of the parent may hold it, which does not run here."""
    global _import_lock  # noqa: PLW0603  # there is one for each process
    _import_lock = RLock()
    _held_for_forks.clear()


def _wait_in_forks() -> None:
    at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


def _prepare_for_forks() -> None:
    """Let forks wait for imports before they take the lock of logging, which the imports need.

    What was registered last runs first before a fork, so logging has to be loaded earlier.
    """
    global _prepared  # noqa: PLW0603  # there is one for each process
    if not _prepared:
        with _import_lock:
            import logging  # noqa: F401
        _prepared = True
        _wait_in_forks()


_wait_in_forks()
