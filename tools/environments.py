"""Virtual environments for programs that cannot be installed beside the library."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from tools import TOP


def make_environment(name: str, packages: list[str], without_dependencies: list[str]) -> Path:
    """Make the environment `.venv/NAME`, unless it exists with these packages.

    Args:
        name: The name of the folder.
        packages: Arguments of `pip install`.
        without_dependencies: Packages to install without their dependencies.

    Returns:
        The path of its Python.
    """
    folder = TOP / ".venv" / name
    python = folder / "bin/python"
    installed, wanted = folder / "installed", f"{TOP} {packages} {without_dependencies}"
    if not installed.exists() or installed.read_text(encoding="utf-8") != wanted:
        print(f"Installing into .venv/{name} (first run, or the packages changed) ...", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for arguments in (packages, ["--no-deps", *without_dependencies]):
            done = subprocess.run([*install, *arguments], capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{done.stdout}{done.stderr}pip failed.")
        installed.write_text(wanted, encoding="utf-8")
    return python
