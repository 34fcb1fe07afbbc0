"""Runs a notebook in a kernel of its own, from top to bottom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

# No cell takes longer.
SECONDS = 60


def executed(path: Path) -> str:
    """The text of the notebook's file as it is after a run; raises where a cell does that is not to."""
    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    # By sockets in the file system, as a kernel on TCP is open to the whole machine, and says so.
    config = Config(AsyncKernelManager=Config(transport="ipc"))
    NotebookClient(
        notebook, config=config, timeout=SECONDS, coalesce_streams=True, resources={"metadata": {"path": "."}}
    ).execute()
    # What a run leaves and nobody reads would differ each time.
    notebook.metadata.pop("language_info", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.execution_count = None
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = None
    return str(nbformat.writes(notebook)) + "\n"  # type: ignore[no-untyped-call]
