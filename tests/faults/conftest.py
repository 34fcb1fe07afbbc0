"""Prints how large the matrix was."""

from __future__ import annotations

import pytest
from tests.faults.harness import cells


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if cells:
        terminalreporter.write_line(f"fault matrix: {sum(cells)} cells")
