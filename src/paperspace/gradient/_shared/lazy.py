"""Lazy imports: modules that are loaded when one of their names is first used.

Importing the library has to stay fast, so the modules that do the work are not loaded with it. A module that uses them
names them twice, once for type checkers and once for the interpreter, and then calls them like any other module:

    if TYPE_CHECKING:
        from paperspace.gradient.deployments import _arguments, _queries
    else:
        _arguments, _queries = lazy_modules("paperspace.gradient.deployments", "_arguments", "_queries")

`tests/test_layout.py` checks that both lists are the same.

Of all threads, only the one that forks runs in the child. A lock that another thread held at that moment is held there
forever. So a fork waits until no thread imports a lazy module, and until the loop thread is between two steps.
"""

from __future__ import annotations

import sys
from _thread import RLock, get_ident  # threading takes longer to load
from typing import TYPE_CHECKING

from paperspace.gradient._shared.fork import at_fork

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

# Seconds that a fork waits for each of both. A first import takes less than one, unless the machine is busy.
FORK_TIMEOUT = 30.0

_import_lock = RLock()
_locked_by_forks: dict[int, bool] = {}  # by the thread that forks
_waits_for_imports = False
_PACKAGE = "paperspace.gradient."
# What was loaded during lazy imports, by name.
_loaded: dict[str, ModuleType] = {}
# What `hold_before_forks` has registered: how to hold it, and whether it is held.
_holders: list[tuple[Callable[[], None], Callable[[], bool]]] = []


class LazyModule:
    """Stand-in for a module, which is imported on the first access to one of its names."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> object:
        module = sys.modules.get(self._name)
        if module is None or getattr(module.__spec__, "_initializing", False):
            module = _import(self._name)
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


def _import(name: str) -> ModuleType:
    """Import a module. In the main thread, do it in another thread: there, no signal handler can interrupt it.

    After a Ctrl-C in the middle of the import of asyncio, Python cannot import it any more.
    """
    import threading
    from importlib import import_module  # both here, as they take as long to load as the rest of this module

    def load() -> None:
        try:
            with importing():
                _restore_loaded()
                before = set(sys.modules)
                import_module(name)
                _loaded.update({new: module for new, module in list(sys.modules.items()) if new not in before})
        except BaseException as error:  # noqa: BLE001  # raised by the thread that waits
            errors.append(error)

    errors: list[BaseException] = []
    if threading.current_thread() is threading.main_thread():
        thread = threading.Thread(target=load, name="paperspace.gradient import", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread can be started
            load()
        else:
            thread.join(FORK_TIMEOUT)  # not without an end: this thread may be importing what the other one waits for
    else:
        load()
    if errors:
        raise errors[0]
    return import_module(name)


def _restore_loaded() -> None:
    """Put modules back that were removed, as `mock.patch.dict(sys.modules)` does with what its block has imported.

    A second copy of a module has a loop thread of its own, and classes that the first one does not know. If all of ours are
    there, the others stay as they are: some were imported by other threads at the same time, and removed for a reason.
    """
    if all(name in sys.modules for name in _loaded if name.startswith(_PACKAGE)):
        return
    for name, module in _loaded.items():
        sys.modules.setdefault(name, module)


def importing() -> RLock:
    """Return the lock that a thread holds while it imports a module of the library. Forks wait for it."""
    _wait_for_imports_before_logging()
    return _import_lock


def holds_imports() -> bool:
    """Whether this thread is importing a module of the library, or forking. No other thread can import one meanwhile."""
    # `threading.Condition` calls it too; it has no public name.
    owned = _import_lock._is_owned()  # type: ignore[attr-defined]  # noqa: SLF001  # pyright: ignore[reportAttributeAccessIssue]
    return bool(owned)


def hold_before_forks(hold: Callable[[], None], is_held: Callable[[], bool]) -> None:
    """Hold the work of another thread before each fork.

    Args:
        hold: Waits until the work is at a point where the thread holds no lock, and keeps it there.
        is_held: Whether there is nothing (more) to hold.
    """
    _holders.append((hold, is_held))


def _before_fork() -> None:
    """Hold the other threads, then their imports.

    A thread that is held needs no import any more, but one that imports may start work that has to be held.
    """
    while get_ident() not in _locked_by_forks:  # it is registered twice, and called twice for a fork
        for hold, _ in _holders:
            hold()
        locked = _import_lock.acquire(timeout=FORK_TIMEOUT)
        if not locked or all(is_held() for _, is_held in _holders):
            _locked_by_forks[get_ident()] = locked
        else:
            _import_lock.release()


def _after_fork_in_parent() -> None:
    if _locked_by_forks.pop(get_ident(), False):
        _import_lock.release()


def _after_fork_in_child() -> None:
    """Replace the lock: a thread of the parent may hold it, which does not run here."""
    global _import_lock  # noqa: PLW0603  # there is one for each process
    _import_lock = RLock()
    _locked_by_forks.clear()


def _wait_for_imports() -> None:
    at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


def _wait_for_imports_before_logging() -> None:
    """Let forks wait for imports before they take the lock of logging, which the imports need.

    What was registered last runs first before a fork, so logging has to be loaded earlier.
    """
    global _waits_for_imports  # noqa: PLW0603  # there is one for each process
    if not _waits_for_imports:
        with _import_lock:
            import logging  # noqa: F401
        _waits_for_imports = True
        _wait_for_imports()


_wait_for_imports()
