"""Several deployments at the same time: their labels, their errors, and what each of them yields."""

from __future__ import annotations

from collections import Counter
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from paperspace.gradient._sync.blocking import blocking_iterator
from paperspace.gradient.cli._commands import common_options
from paperspace.gradient.cli._errors import code_of, print_error
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli._output import may_color, print_message, printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping

    from paperspace.gradient.deployments._api import AsyncDeployments

T = TypeVar("T")

_COLORS = ("cyan", "yellow", "green", "magenta", "blue", "red")

# What deployments may yield before it is printed. Without a limit, long logs would fill the memory.
_MAX_WAITING = 1000


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


async def _together(
    deployments: AsyncDeployments, ids: Iterable[str], stream: Callable[[AsyncDeployments, str], AsyncIterator[T]]
) -> AsyncGenerator[tuple[str, T | Ended]]:
    """Yield what the stream of each deployment yields, with its id, as soon as it does; and the end of each."""
    import asyncio

    items: asyncio.Queue[tuple[str, T | Ended]] = asyncio.Queue(_MAX_WAITING)

    async def read(id_: str) -> None:
        error: Exception | None = None
        try:
            async for item in stream(deployments, id_):
                await items.put((id_, item))
        except Exception as raised:  # noqa: BLE001  # reported by the reader
            error = raised
        await items.put((id_, Ended(error)))

    tasks = [asyncio.create_task(read(id_)) for id_ in ids]
    try:
        running = len(tasks)
        while running:
            id_, item = await items.get()
            running -= isinstance(item, Ended)
            yield id_, item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


together = blocking_iterator(_together)
