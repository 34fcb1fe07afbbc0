"""Functions that threads call again and again while a test goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def repeated(function: Callable[[], object], *, threads: int = 1, pause: float = 0.0) -> Iterator[None]:
    """Call a function again and again during the block. If it fails, the end of the block does too.

    Args:
        function: The function.
        threads: How many threads call it.
        pause: Seconds between two calls of a thread.
    """
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(pause):
            function()

    with ThreadPoolExecutor(threads) as pool:
        tasks = [pool.submit(repeat) for _ in range(threads)]
        try:
            yield
        finally:
            stop.set()
        for task in tasks:
            task.result()
