"""Print the number of cells of the fault matrix that ran."""

from __future__ import annotations

import pytest
from tests.faults.harness import finished_cells


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if finished_cells:
        terminalreporter.write_line(f"fault matrix: {len(finished_cells)} cells")
