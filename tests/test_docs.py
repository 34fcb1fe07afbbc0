"""What docstrings and pages show is run, and gives what they say."""

from __future__ import annotations

import doctest
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.samples import SPEC

from paperspace.gradient import AsyncClient, Client, configure, deployments, schema, types
from paperspace.gradient.aio import deployments as async_deployments

TOP = Path(__file__).parent.parent
MODULES: list[ModuleType] = [deployments, async_deployments, schema]
FUNCTIONS = [getattr(deployments, name) for name in deployments.__all__]
CLIENTS = [Client, AsyncClient, Client.with_options, Client.execute]
OBJECTS = [*MODULES, *FUNCTIONS, configure, *CLIENTS, schema.diff, schema.pull]


@pytest.fixture
def example_names(environment: dict[str, str]) -> dict[str, Any]:  # noqa: ARG001  # it has to come first
    """What an example finds: a server with the deployment `mnist` in the project `p1`, and the functions imported."""
    deployments.create_deployment(name="mnist", project_id="p1", spec=SPEC)
    return {"deployments": deployments}


@pytest.mark.parametrize("documented", [pytest.param(entry, id=entry.__name__) for entry in OBJECTS])
def test_docstring(
    documented: Any,
    example_names: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The docstring has an example, and the example gives what the docstring says."""
    (tmp_path / "graphql").symlink_to(TOP / "graphql")
    monkeypatch.chdir(tmp_path)
    text = inspect.getdoc(documented) or ""
    test = doctest.DocTestParser().get_doctest(text, example_names, documented.__name__, None, None)
    assert test.examples
    runner = doctest.DocTestRunner()
    with capsys.disabled():
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def python_blocks(page: Path) -> list[str]:
    """The blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.usefixtures("environment")
def test_readme(capsys: pytest.CaptureFixture[str]) -> None:
    """The README's code runs as it stands, from top to bottom."""
    for block in python_blocks(TOP / "README.md"):
        exec(compile(block, "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert re.search(r"^mnist http://127.0.0.1:\d+/endpoints/", out)
    assert "there is no deployment with the id d4e74a9c-b125-4bd7-b143-8f5c386df8a9" in out


def test_readme_types(tmp_path: Path) -> None:
    """The README's code is what a strict type checker accepts."""
    for number, block in enumerate(python_blocks(TOP / "README.md")):
        path = tmp_path / f"block{number}.py"
        path.write_text(block, encoding="utf-8")
        command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout


def test_links() -> None:
    """Every link of a page to a file of the repository leads somewhere."""
    for page in [*TOP.glob("*.md"), *TOP.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("name", types.__all__)
def test_every_shape_is_described(name: str) -> None:
    """Every public shape says what it is."""
    shape = getattr(types, name)
    assert not isinstance(shape, type) or shape.__doc__
