"""The tables in docs/performance.md: each is between two marks, with the command that wrote it."""

from __future__ import annotations

from tools import TOP

PAGE = TOP / "docs/performance.md"
COMPARISON, GROWTH = "scripts/benchmark --keep", "scripts/benchmark --growth --keep"


def write(command: str, table: str) -> None:
    """Write a table between the marks of its command."""
    start, end = (f"<!-- {word}: written by {command} -->\n" for word in ("Start", "End"))
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(start)
    _, _, after = rest.partition(end)
    PAGE.write_text(f"{before}{start}\n{table}\n{end}{after}", encoding="utf-8")
