"""Write `src/paperspace/gradient/_generated` from `graphql/`, or check that it is up to date.

All files are built in memory first, so an error in the schema or in an operation changes nothing. The output depends
only on the GraphQL files: no dates, no machine names, a fixed order, and the style of the formatter.
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
    """Run the command, and return its exit code."""
    parser = argparse.ArgumentParser(prog="scripts/regenerate", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; print a diff and exit with 1 if files differ"
    )
    parser.add_argument("--graphql", type=Path, default=GRAPHQL, help="the folder with schema.graphql and operations/")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the folder to write to, or to compare with")
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
    except GenerationError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def check(files: dict[str, str], folder: Path) -> int:
    """Print the difference between the folder and the files; return 1 if there is one, 0 otherwise."""
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
        print("The generated code is out of date: run scripts/regenerate.", file=sys.stderr)
    return int(stale)


def write(files: dict[str, str], folder: Path) -> None:
    """Write the files, and delete other generated files in the folder.

    Raises:
        GenerationError: The folder has other code. Nothing is written.
        OSError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    present = _generated(folder)
    package = folder / "__init__.py"
    if not (package.exists() and package.read_bytes().startswith(b"# Generated from ")):
        for path in present:
            if path.stat().st_size:
                message = f"{folder} has other code, such as {path.name}"
                raise GenerationError(f"{message}; pass a new folder, or one with generated code")
    for path in present:
        if path.name not in files:
            path.unlink()
    for name, text in files.items():
        (folder / name).write_bytes(text.encode())


def _generated(folder: Path) -> list[Path]:
    """List the generated files in the folder."""
    return [path for path in folder.glob("*") if path.suffix in {".py", ".json"}]


if __name__ == "__main__":
    raise SystemExit(main())
