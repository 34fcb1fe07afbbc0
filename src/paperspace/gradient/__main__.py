"""The way into the `gradient` command, which is also `python -m paperspace.gradient`."""

from __future__ import annotations

import gc
import os
import sys

# The code of a process that ended by Ctrl-C, as shells have it.
INTERRUPTED = 130


def main() -> None:
    """Runs the command. What it takes to start quickly, and to end quietly by Ctrl-C while modules are loaded, is here.

    Ctrl-C before that, while Python itself starts and imports this module, is out of its reach, and mostly ends in a
    traceback.
    """
    # The objects that come up while modules are loaded all stay, so that to look among them for garbage is in vain.
    gc.set_threshold(50_000)
    # There are none that we need, and to look for them pydantic reads about every package that is installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")
    try:
        from paperspace.gradient.cli import main as command
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    try:
        command()
    finally:
        gc.freeze()  # or the interpreter would look through all of that for garbage once more, at its end


if __name__ == "__main__":
    main()
