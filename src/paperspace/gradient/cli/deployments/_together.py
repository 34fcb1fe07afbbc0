"""Several deployments at the same time: their labels, their errors, and what they yield in threads of their own."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from itertools import cycle
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from paperspace.gradient.cli._commands import common_options
from paperspace.gradient.cli._errors import code_of, print_error
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli._output import may_color, print_message, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

T = TypeVar("T")

_COLORS = ("cyan", "yellow", "green", "magenta", "blue", "red")

# What threads may yield before it is printed. Without a limit, long logs would fill the memory.
_MAX_WAITING = 1000

# Seconds after which the thread that prints looks for Ctrl-C: on Windows, a wait without an end cannot be interrupted.
_INTERRUPT_INTERVAL = 0.5


class Label(NamedTuple):
    """The name of a deployment in front of each of its lines, in a color of its own."""

    text: str
    color: str
    width: int

    def start(self) -> str:
        """Return the start of a line."""
        start = f"{printable(self.text):<{self.width}} |"
        return f"{click.style(start, fg=self.color) if may_color() else start} "


def labels_of(names: Mapping[str, str]) -> dict[str, Label]:
    """Return the labels of deployments by id: their names or, if several have the same name, their ids."""
    counts = Counter(names.values())
    texts = {id_: name if counts[name] == 1 else id_ for id_, name in names.items()}
    width = max(map(len, texts.values()), default=0)
    return {id_: Label(text, color, width) for (id_, text), color in zip(texts.items(), cycle(_COLORS), strict=False)}


class Failures:
    """Reports the errors of deployments.

    Attributes:
        code: The exit code of the first error.
    """

    def __init__(self, labels: Mapping[str, Label]) -> None:
        self.code: int = ExitCode.SUCCESS
        self._labels = labels

    def report(self, id: str, error: Exception) -> None:
        """Print the error of a deployment."""
        print_message(f"{self._labels[id].text}:")
        print_error(error, debug=common_options().debug)
        self.code = self.code or code_of(error)


class Ended(NamedTuple):
    """The end of what one deployment yields.

    Attributes:
        error: Why it ended early. None: it did not.
    """

    error: Exception | None


def together(streams: Mapping[str, Callable[[], Iterable[T]]]) -> Iterator[tuple[str, T | Ended]]:
    """Yield what each of the streams yields, as soon as it does, and its end. Each is read in a thread of its own."""
    items: Queue[tuple[str, T | Ended]] = Queue(_MAX_WAITING)

    def read(key: str, stream: Callable[[], Iterable[T]]) -> None:
        error: Exception | None = None
        try:
            for item in stream():
                items.put((key, item))
        except Exception as raised:  # noqa: BLE001  # reported by the thread that prints
            error = raised
        items.put((key, Ended(error)))

    for key, stream in streams.items():
        Thread(target=read, args=(key, stream), daemon=True).start()
    running = len(streams)
    while running:
        with suppress(Empty):
            key, item = items.get(timeout=_INTERRUPT_INTERVAL)
            running -= isinstance(item, Ended)
            yield key, item
