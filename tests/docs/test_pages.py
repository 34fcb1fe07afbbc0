"""The code on the pages runs, and prints what the pages show."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.samples import run_module
from tools import TOP
from tools.docs import types_page
from tools.docs.blocks import blocks_of, updated
from tools.docs.run import PAGES

from paperspace.gradient import OutcomeUnknownError, configure, deployments, errors
from paperspace.gradient.pytest_plugin import GradientServer

# Every block that is not run, with the reason that the page states.
NOT_RUN = {
    "README.md": ["both run in CI"],
    "CONTRIBUTING.md": ["it runs every check"],
    "docs/beyond.md": ["simulated deployments have no metrics"],
    "docs/command-line.md": ["an invalid spec", "the bar is removed at the end; tests/cli/test_changes.py checks it"],
    "docs/deployments-sdk.md": [
        "the request as documented; a test calls the library by it",
        "the response as documented; a test compares its keys and types",
    ]
    * 5,
    "docs/errors.md": ["a diagram; a test compares it with the classes"],
    "docs/monitoring.md": ["it is updated until Ctrl-C", "a configuration of Prometheus", "queries of Prometheus"],
    "docs/migration.md": [
        "it is the retired client's",
        "it changes the environment",
        "it installs the retired client in an environment of its own; a person runs it",
    ],
    "docs/notebooks.md": ["it opens a browser; the tests run the notebook"],
    "docs/performance.md": [
        "takes some minutes, and installs the other clients into a separate environment",
        "takes a quarter of an hour, and 4 GB of disk space",
    ],
    "docs/quickstart.md": ["the wheel test installs the package into an environment of its own"],
    "docs/spec.md": ["it needs --env-subst", "an invalid spec"],
    "docs/console.md": ["it opens a browser"],
    "docs/containers.md": [
        *["it uses the default database", "it changes the default database"],
        "it needs load",
        *["it runs until it is stopped"] * 2,
        *["it changes the default database"] * 3,
    ],
    "docs/local-server.md": ["its output has times and sizes"],
    "docs/self-hosting.md": [
        "it needs a network; the test of this page starts with the same packages",
        "it needs a public domain",
        "it needs another machine",
        *["it needs a network"] * 3,
    ],
}


def run(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the blocks of pages in another process, because a page changes the working directory and the environment."""
    return run_module("tools.docs.run", *arguments, timeout=timeout)


def named(page: Path) -> str:
    """The path of a page in the repository."""
    return str(page.relative_to(TOP))


def has_code(page: Path) -> bool:
    """Whether the page has code to run. Blocks in braces are directives of Sphinx."""
    blocks = blocks_of(page.read_text(encoding="utf-8"))
    return page.suffix == ".ipynb" or any(not block.language.startswith("{") for block in blocks)


WITH_CODE = list(filter(has_code, PAGES))


@pytest.mark.parametrize("page", WITH_CODE, ids=named)
def test_page(page: Path) -> None:
    """All code on the page runs, and prints what the page shows. If not: `scripts/docs-run --write PAGE`."""
    done = run(str(page))
    assert done.returncode == 0, done.stdout + done.stderr


# The code on these pages uses only servers that it starts itself.
OWN_SERVER = {"testing.md", "tutorial.ipynb"}


@pytest.mark.parametrize("step", [1, -1], ids=["forward", "backward"])
def test_pages_in_a_row(step: int) -> None:
    """A reader can follow all pages one after another on the same server, in both directions: no page is in the way of another."""
    on_the_server = [page for page in WITH_CODE[::step] if page.name not in OWN_SERVER]
    done = run("--in-a-row", *map(str, on_the_server), timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr


WRONG = """\
```python
print(1)
```

```output
2
```

```pycon
>>> 1 + 1
3
>>> []["a"]
'b'
```

```console
$ echo c
d
```
"""


def test_wrong_output_is_reported_and_rewritten(tmp_path: Path) -> None:
    """Wrong output is reported in every kind of block, and `--write` corrects it."""
    page = tmp_path / "page.md"
    page.write_text(WRONG, encoding="utf-8")
    compared = run(str(page))
    removed = [line for line in compared.stdout.splitlines()[2:] if line.startswith("-")]
    assert (compared.returncode, removed) == (1, ["-2", "-3", "-'b'", "-d"])
    assert page.read_text(encoding="utf-8") == WRONG
    assert run("--write", str(page)).returncode == 0
    assert run(str(page)).returncode == 0
    assert "TypeError: list indices must be integers or slices, not str" in page.read_text(encoding="utf-8")


def test_only_what_differs_is_rewritten() -> None:
    """If one line of an output is wrong, the other lines keep the ids that the page shows."""
    shown = "1b8415c5-4d62-48c0-b39a-f725a2c2087d\nready\n"
    printed = "7c14b610-3356-4e3a-b964-c964a3a0cf1a\npending\n"
    assert updated(shown, printed) == "1b8415c5-4d62-48c0-b39a-f725a2c2087d\npending\n"
    assert updated(shown, printed.replace("pending", "ready")) == shown


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("```python\n1 / 0\n```\n", "in the block in line 1"),
        ("```yaml\nimage: x\nprot: 1\n```\n", "did you mean 'port'?"),
        ("```ruby\nputs 1\n```\n", "unknown language `ruby` of the block in line 1"),
        ("```\n1\n```\n", "unknown language `` of the block in line 1"),
    ],
)
def test_a_block_that_fails_is_an_error(tmp_path: Path, block: str, message: str) -> None:
    """A block that raises, an invalid spec, and an unknown language are errors that name the line of the block."""
    page = tmp_path / "page.md"
    page.write_text(block, encoding="utf-8")
    done = run(str(page))
    assert done.returncode == 1
    assert message in done.stderr
    assert "in line 1" in done.stderr


def test_blocks_that_are_not_run() -> None:
    """Exactly these blocks are not run, for these reasons."""
    reasons = {
        named(page): [block.reason for block in blocks_of(page.read_text(encoding="utf-8")) if block.reason]
        for page in [*PAGES, TOP / "docs/regeneration.md"]
    }
    assert {page: listed for page, listed in reasons.items() if listed} == NOT_RUN


@pytest.mark.parametrize("page", [*TOP.glob("*.md"), *TOP.glob("docs/**/*.md")], ids=named)
def test_no_indented_code(page: Path) -> None:
    """No code is marked by indentation alone, because such code would not be run."""
    text = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"\n\n(    .*)", text) == []


@pytest.mark.parametrize("executed", [True, False])
def test_recipe_for_an_unknown_outcome(gradient_server: GradientServer, executed: bool) -> None:
    """`create_once` in docs/retries.md returns the deployment if it exists. If not, it raises; a second call creates it."""
    text = (TOP / "docs/retries.md").read_text(encoding="utf-8")
    [recipe] = [block.text for block in blocks_of(text) if "def create_once" in block.text]
    names: dict[str, Any] = {"deployments": deployments}
    exec(recipe, names)
    configure(max_retries=0)
    gradient_server.drop(executed=executed)
    if not executed:
        with pytest.raises(OutcomeUnknownError):
            names["create_once"]("mnist", {"image": "nginx"})
    created = names["create_once"]("mnist", {"image": "nginx"})
    assert [deployment["id"] for deployment in deployments.list_deployments()] == [created]


def test_readme_types(tmp_path: Path) -> None:
    """A strict type checker accepts the code of the README."""
    blocks = [block.text for block in blocks_of((TOP / "README.md").read_text(encoding="utf-8"))]
    path = tmp_path / "readme.py"
    [example] = [block for block in blocks if "create_deployment(" in block]
    path.write_text(example, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_links() -> None:
    """Every link from a page to a file of the repository leads to an existing file, or to a page that scripts/docs writes."""
    for page in [*TOP.glob("*.md"), *TOP.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            file = (page.parent / target).resolve()
            assert file.exists() or file == types_page.PAGE, f"{page.name} links to {target}"


ERRORS = (TOP / "docs/errors.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name.endswith("Error")])
def test_every_error_is_shown(name: str) -> None:
    """The page on errors has a section for each class, and its code raises or catches the class."""
    section = ERRORS.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    assert name in "".join(block.text for block in blocks_of(section))


def test_the_tree_of_the_errors() -> None:
    """The tree on the page is the tree in the docstring of the module."""
    drawn = re.findall(r"^ *([ │├└─]*\w+Error)\b", errors.__doc__ or "", re.MULTILINE)
    [tree] = [block.text.splitlines() for block in blocks_of(ERRORS) if "├" in block.text]
    assert [line.strip() for line in tree] == [line.strip() for line in drawn]
