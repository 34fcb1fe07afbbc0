"""Let the environment and the default client use a server for the time of a block."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from paperspace.gradient import _default_client
from paperspace.gradient._shared.lazy import lazy_modules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paperspace.gradient._core.session import Session
    from paperspace.gradient._sync import loop_thread
else:
    [loop_thread] = lazy_modules("paperspace.gradient._sync", "loop_thread")

# Seconds between two polls of a wait, so that it soon sees what a test has changed.
_POLL_INTERVAL = 0.05


@dataclass(eq=False)
class _Block:
    """A block that has not ended: what it has replaced, to be restored at its end.

    Attributes:
        own: The environment variables in the block.
        environment: Those before the block. None: not set.
        session: The session of the default client. None: it had none.
    """

    own: dict[str, str]
    environment: dict[str, str | None]
    session: Session | None


_lock = threading.Lock()

# In the order in which they began. A test may request a fixture of a wider scope, whose block then ends after that of the test.
_blocks: list[_Block] = []


@contextmanager
def default_server(url: str, api_key: str, *, undo: Callable[[], None] | None = None) -> Iterator[None]:
    """Let the environment and the default client use a server during a block, and no configuration file.

    Of several blocks, the one that began last counts. They may end in any order.

    Args:
        url: The URL of the API.
        api_key: The API key.
        undo: Undoes what was patched in the environment, before the block and in it. None: nothing was.
    """
    with TemporaryDirectory() as folder:
        own = {
            "PAPERSPACE_API_URL": url,
            "PAPERSPACE_API_HOST": url,
            "PAPERSPACE_API_KEY": api_key,
            "PAPERSPACE_CONFIG_PATH": folder,
            "PAPERSPACE_MAX_POLL_INTERVAL": str(_POLL_INTERVAL),
        }
        block = _begin(own)
        try:
            yield
            if undo is not None:
                _undo_patches(block, undo)
        finally:
            if session := _end(block):
                loop_thread.run(session.close())  # a thread that still waits would delay the end of the process


def _begin(own: dict[str, str]) -> _Block:
    with _lock:
        block = _Block(own, {name: os.environ.get(name) for name in own}, _default_client.replace_session(None))
        _blocks.append(block)
        os.environ.update(own)
    return block


def _undo_patches(block: _Block, undo: Callable[[], None]) -> None:
    """Undo what was patched, before the end of the block: afterwards, this would put back the values of the block.

    What was patched before the block is not restored at its end, but what was there before that. The value of the block, or of
    one that began in it, was there when the test patched it.
    """
    since = _blocks[_blocks.index(block) :]
    os.environ.update(since[-1].own)
    undo()
    for name in block.own:
        found = os.environ.get(name)
        if all(found != other.own[name] for other in since):
            block.environment[name] = found
    os.environ.update(since[-1].own)


def _end(block: _Block) -> Session | None:
    """End a block, and return the session of its default client, if it had one."""
    with _lock:
        index = _blocks.index(block)
        del _blocks[index]
        if index < len(_blocks):
            # The next block has replaced the values of this one. At its end, it restores what was there before both.
            following, session = _blocks[index], _blocks[index].session
            following.environment, following.session = block.environment, block.session
            return session
        for name, value in block.environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        return _default_client.replace_session(block.session)
