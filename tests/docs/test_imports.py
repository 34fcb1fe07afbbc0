"""Imports go one way, as CONTRIBUTING and docs/architecture.md say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tools import TOP

PACKAGE = TOP / "src/paperspace/gradient"
NAME = "paperspace.gradient"

# These connect client and server: the server of the pytest plugin, and the modules of the command `gradient server`.
BOTH = {
    "_testing/fault_injection.py",
    "_testing/gradient_server.py",
    "cli/server.py",
    "cli/server_control.py",
    "cli/server_credentials.py",
    "cli/server_instance_types.py",
    "cli/server_registries.py",
    "cli/server_secrets.py",
    "cli/server_status.py",
    "cli/_server_console.py",
    "cli/_server_database.py",
    "cli/_server_engine.py",
    "cli/_server_engine_options.py",
    "cli/_server_gateway.py",
    "cli/_server_reset.py",
    "cli/_server_run.py",
    "cli/_settings_files.py",
}


def imported(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports anywhere, without the name of the package: `_core.retry`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == NAME:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{NAME}."):
            yield (node.module or "").removeprefix(f"{NAME}.")
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.removeprefix(f"{NAME}.") for alias in node.names if alias.name.startswith(f"{NAME}.")
            )


def importers(*folders: str) -> dict[str, set[str]]:
    """The files outside of these folders and modules that import from them, with what they import."""
    files: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        file = path.relative_to(PACKAGE).as_posix()
        if file.split("/")[0].removesuffix(".py") in folders:
            continue
        modules = {module for module in imported(path) if module.split(".")[0] in folders}
        if modules:
            files[file] = modules
    return files


def test_modules_that_connect_client_and_server() -> None:
    """Outside of `server/`, only the pytest plugin and the command `gradient server` import the server."""
    assert set(importers("server")) == BOTH


def test_the_server_imports_only_what_is_shared() -> None:
    """The server imports its own modules and `_shared/`, and nothing else of the package."""
    tops = {module.split(".")[0] for path in (PACKAGE / "server").rglob("*.py") for module in imported(path)}
    assert tops == {"server", "_shared"}


def test_only_the_entry_point_imports_the_command() -> None:
    """Nothing but `__main__.py` imports the command line."""
    assert set(importers("cli")) == {"__main__.py"}


def test_the_core_is_below_the_functions() -> None:
    """The core, the errors and the settings import nothing of the functions, the clients, the command and the server."""
    below = [*(PACKAGE / "_core").rglob("*.py"), PACKAGE / "errors.py", PACKAGE / "config.py"]
    tops = {module.split(".")[0] for path in below for module in imported(path)}
    assert tops.isdisjoint({"deployments", "aio", "client", "cli", "server", "schema", "_testing", "pytest_plugin"})


def test_imports_follow_the_levels() -> None:
    """CONTRIBUTING lists each module of the client in a level, and no module imports from a level above its own."""
    lines = re.findall(
        r"^(\d)\. ((?:`\w+`(?:, )?)+)$", (TOP / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    levels = {name: int(level) for level, names in lines for name in re.findall(r"\w+", names)}
    outside = {"__init__", "__main__", "_pyinstaller", "_testing", "pytest_plugin", "server"}
    files = {path: path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    assert set(levels) == {*files.values()} - outside
    above = [
        (path.relative_to(PACKAGE).as_posix(), module)
        for path, top in files.items()
        if top in levels
        for module in imported(path)
        if levels.get(module.split(".")[0], levels[top]) < levels[top]
    ]
    assert above == []
