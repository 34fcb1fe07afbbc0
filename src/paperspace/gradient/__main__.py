"""Entry point of the `gradient` command and of `python -m paperspace.gradient`."""

from __future__ import annotations

import gc
import os
import sys

from paperspace.gradient.cli._exit_codes import ExitCode


def main() -> None:
    """Run the command, with a quick start and a clean exit if Ctrl-C is pressed while modules are imported.

    Ctrl-C before this function runs, while Python itself starts, cannot be handled; it usually prints a traceback.
    """
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


if __name__ == "__main__":
    main()
