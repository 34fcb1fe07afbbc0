"""Progress of a wait, on standard error: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.cli._output import is_plain_terminal, print_message, printable, terminal_console, wrap
from paperspace.gradient.errors import GradientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

    from paperspace.gradient.client import Client
    from paperspace.gradient.deployments import _status
    from paperspace.gradient.types import DeploymentStatus, WatchEvent
else:
    [_status] = lazy_modules("paperspace.gradient.deployments", "_status")

# Narrower terminals have no room for the states of the instances.
_MIN_COLUMNS_FOR_STATES = 60


def wait_with_progress(client: Client, id: str, timeout: float, spec_id: str | None = None) -> DeploymentStatus:
    """Wait until a revision of a deployment is ready, and show the events.

    Args:
        client: The client.
        id: The id of the deployment.
        timeout: The seconds to wait.
        spec_id: The id of the revision. None: the newest one.
    """
    try:
        with _progress() as show_event:
            return client.deployments.wait_for_deployment(id, spec_id=spec_id, timeout=timeout, on_event=show_event)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"Only the wait was interrupted. To wait again:\n  gradient deployments wait {id}")
        raise


def warn_if_failed(client: Client, id: str) -> None:
    """Say that a deployment has failed, which a command without --wait may have left as it was, and how to try again."""
    with suppress(GradientError):  # the command itself has succeeded
        status = client.deployments.get_deployment_status(id)
        if status["state"] == "failed":
            print_message(f"Deployment {status['name']} {_status.failure_text(status)}")
            print_message(f"To try again with the same spec:\n  gradient deployments restart {id}")


@contextmanager
def _progress() -> Iterator[Callable[[WatchEvent], object]]:
    """Yield a function that shows an event. The progress bar is removed after the block.

    A failure is not shown: it is the error of the command.
    """
    if not sys.stderr.isatty() or is_plain_terminal():
        yield lambda event: None if event["type"] == "failed" else print_message(event["message"])
        return

    from rich.constrain import Constrain
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = terminal_console(stderr=True)
    states = " ({task.description})" if console.width >= _MIN_COLUMNS_FOR_STATES else ""
    columns = (BarColumn(20), MofNCompleteColumn(), TextColumn(f"ready{states}", markup=False), TimeElapsedColumn())

    class NarrowProgress(Progress):
        def get_renderable(self) -> RenderableType:
            # Leaves room for the ^C that a terminal prints: on a full line it would wrap, and the bar could not be removed.
            return Constrain(super().get_renderable(), console.width - len("^C"))

    with NarrowProgress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("not applied yet", total=None)

        def show_event(event: WatchEvent) -> None:
            status = event["status"]
            total = status["replicas"] or None
            progress.update(
                bar, completed=status["readyReplicas"], total=total, description=_states(status), refresh=True
            )
            if event["type"] != "failed":
                console.print(wrap(printable(event["message"])), soft_wrap=True)

        yield show_event


def _states(status: DeploymentStatus) -> str:
    """Return the number of instances in each state."""
    counts = Counter(instance["state"] or "unknown" for instance in status["instances"])
    return printable(", ".join(f"{count} {state}" for state, count in counts.most_common())) or "no instances"
