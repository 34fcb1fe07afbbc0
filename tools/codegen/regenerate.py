"""Writes `src/paperspace/gradient/_generated` from `graphql/`, or checks that it is in step.

Everything is built in memory first, so a fault in the schema or in an operation leaves the folder as it was. The
output depends on the GraphQL files alone: no dates, no machine, a fixed order, already in the formatter's style.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from tools import TOP
from tools.codegen.module_text import GenerationError
from tools.codegen.typegen import generate

GRAPHQL = TOP / "graphql"
OUTPUT = TOP / "src/paperspace/gradient/_generated"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="scripts/regenerate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 and a diff where files differ")
    parser.add_argument("--graphql", type=Path, default=GRAPHQL, help="the folder with schema.graphql and operations/")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the folder to write to or to compare with")
    options = parser.parse_args(arguments)
    try:
        files = generate(options.graphql)
    except GenerationError as error:
        print(error, file=sys.stderr)
        return 1
    if options.check:
        return check(files, options.output)
    try:
        write(files, options.output)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def check(files: dict[str, str], folder: Path) -> int:
    """Prints how the folder differs from what would be written; 0 where it does not."""
    current = {path.name: path.read_bytes().decode() for path in _generated(folder)}
    stale = False
    for name in sorted({*files, *current}):
        old, new = current.get(name, ""), files.get(name, "")
        if old != new:
            stale = True
            lines = difflib.unified_diff(
                old.splitlines(keepends=True),
                new.splitlines(keepends=True),
                fromfile=f"{folder.name}/{name} (checked in)",
                tofile=f"{folder.name}/{name} (from the GraphQL files)",
            )
            sys.stdout.writelines(lines)
    if stale:
        print("The generated code is not in step: run scripts/regenerate.", file=sys.stderr)
    return int(stale)


def write(files: dict[str, str], folder: Path) -> None:
    """Makes the folder hold exactly these files."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in _generated(folder):
        if path.name not in files:
            path.unlink()
    for name, text in files.items():
        (folder / name).write_bytes(text.encode())


def _generated(folder: Path) -> list[Path]:
    """The files in the folder that are ours."""
    return [path for path in folder.glob("*") if path.suffix in {".py", ".json"}]


if __name__ == "__main__":
    raise SystemExit(main())
