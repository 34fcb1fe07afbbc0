"""What is shown while a deployment is waited for: a bar on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from paperspace.gradient.cli._output import broken, plain_terminal, printable, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

    from paperspace.gradient.types import DeploymentEvent, DeploymentStatus

# So many columns have room for the states of the instances.
_WIDE = 60


@contextmanager
def shown() -> Iterator[Callable[[DeploymentEvent], object]]:
    """Gives what is to be called with each event. Behind the block, the terminal is as it was."""
    if not sys.stderr.isatty() or plain_terminal():
        yield lambda event: tell(event["message"])
        return

    from rich.console import Console
    from rich.constrain import Constrain
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, markup=False, highlight=False)
    states = " ({task.description})" if console.width >= _WIDE else ""
    columns = (BarColumn(20), MofNCompleteColumn(), TextColumn(f"ready{states}", markup=False), TimeElapsedColumn())

    class Line(Progress):
        def get_renderable(self) -> RenderableType:
            # Room for a ^C: beyond the end of the line, the terminal would go to the next one, and this one would stay.
            return Constrain(super().get_renderable(), console.width - len("^C"))

    with Line(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("not applied yet", total=None)

        def show(event: DeploymentEvent) -> None:
            status = event["status"]
            total = status["replicas"] or None
            progress.update(
                bar, completed=status["readyReplicas"], total=total, description=_states(status), refresh=True
            )
            console.print(broken(printable(event["message"])), soft_wrap=True)

        yield show


def _states(status: DeploymentStatus) -> str:
    """How many instances are in which state."""
    counts = Counter(instance["state"] or "unknown" for instance in status["instances"])
    return printable(", ".join(f"{count} {state}" for state, count in counts.most_common())) or "no instances"
