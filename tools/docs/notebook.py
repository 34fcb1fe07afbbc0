"""Run a notebook in a new kernel, from top to bottom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

# The timeout of a cell, in seconds.
SECONDS = 60


def executed(path: Path) -> str:
    """The text of the notebook file after a run. Raises if a cell raises."""
    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    # IPC sockets: any user of the machine could connect to a kernel on TCP, and it warns about that.
    config = Config(AsyncKernelManager=Config(transport="ipc"))
    NotebookClient(
        notebook, config=config, timeout=SECONDS, coalesce_streams=True, resources={"metadata": {"path": "."}}
    ).execute()
    # Remove what differs after each run.
    notebook.metadata.pop("language_info", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.execution_count = None
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = None
    return str(nbformat.writes(notebook)) + "\n"  # type: ignore[no-untyped-call]
