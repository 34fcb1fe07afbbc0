"""Entry point of the `gradient` command and of `python -m paperspace.gradient`."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING

from paperspace.gradient.cli._exit_codes import ExitCode

if TYPE_CHECKING:
    from types import FrameType


def main() -> None:
    """Run the command, with a quick start, and a clean exit after Ctrl-C and SIGTERM, also while modules are imported.

    Ctrl-C before this function runs, while Python itself starts, cannot be handled; it usually prints a traceback.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)
    # Modules stay in memory, so collecting garbage while they are imported finds nothing.
    gc.set_threshold(50_000)
    # pydantic would read the metadata of every installed package to find plugins. We use none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")
    try:
        from paperspace.gradient.cli.main import main as command
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    try:
        command()
    finally:
        gc.freeze()  # skips the collection of garbage when the interpreter exits


def _terminate(_signal_number: int, _frame: FrameType | None) -> None:
    """End the command, which restores the terminal: its cursor, and the echo of what is typed. A second signal ends it at once."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(ExitCode.TERMINATED)


if __name__ == "__main__":
    main()
