"""What pages show is run, and prints what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.samples import run_module
from tools.docs.blocks import blocks_of, right
from tools.docs.run import PAGES

from paperspace.gradient import errors

TOP = Path(__file__).parents[2]

# Every block that is not run, and why.
NOT_RUN = {
    "README.md": ["both run in CI"],
    "CONTRIBUTING.md": ["it runs everything that there is"],
    "docs/command-line.md": ["it is wrong", "the bar is gone at the end; tests/cli/test_terminal.py looks at it"],
    "docs/deployments-sdk.md": [
        "the request as documented; a test calls the library by it",
        "the response as documented; a test compares its keys and types",
    ]
    * 5,
    "docs/errors.md": ["a drawing; a test holds it to the classes"],
    "docs/migration.md": [
        "it installs the retired client in an environment of its own; a person runs it",
        "it is the retired client's",
    ],
    "docs/notebooks.md": ["it opens a browser; the tests run the notebook"],
    "docs/performance.md": [
        "takes some minutes, and installs the libraries that it compares with into an environment of their own"
    ],
    "docs/quickstart.md": ["the wheel test installs the package into an environment of its own"],
    "docs/spec.md": ["it is wrong"],
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the blocks of pages, in a process of its own, as a page has the working directory and the environment."""
    return run_module("tools.docs.run", *arguments, timeout=300)


def named(page: Path) -> str:
    """What a page is called here."""
    return str(page.relative_to(TOP))


def has_code(page: Path) -> bool:
    """Whether something of it is run; what is in braces is for Sphinx."""
    blocks = blocks_of(page.read_text(encoding="utf-8"))
    return page.suffix == ".ipynb" or any(not block.language.startswith("{") for block in blocks)


WITH_CODE = list(filter(has_code, PAGES))


@pytest.mark.parametrize("page", WITH_CODE, ids=named)
def test_page(page: Path) -> None:
    """Everything that the page shows runs, and prints what the page says. `scripts/docs-run --write` puts it there."""
    done = run(str(page))
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


def test_a_wrong_page_is_noticed_and_mended(tmp_path: Path) -> None:
    """What a page shows wrongly is noticed, wherever it is, and `--write` puts right that and nothing else."""
    page = tmp_path / "page.md"
    page.write_text(WRONG, encoding="utf-8")
    noticed = run(str(page))
    removed = [line for line in noticed.stdout.splitlines()[2:] if line.startswith("-")]
    assert (noticed.returncode, removed) == (1, ["-2", "-3", "-'b'", "-d"])
    assert page.read_text(encoding="utf-8") == WRONG
    assert run("--write", str(page)).returncode == 0
    assert run(str(page)).returncode == 0
    assert "TypeError: list indices must be integers or slices, not str" in page.read_text(encoding="utf-8")


def test_only_what_differs_is_rewritten() -> None:
    """Where one line of several is wrong, the others stay as they are, with the ids that they have."""
    shown = "1b8415c5-4d62-48c0-b39a-f725a2c2087d\nready\n"
    printed = "7c14b610-3356-4e3a-b964-c964a3a0cf1a\npending\n"
    assert right(shown, printed) == "1b8415c5-4d62-48c0-b39a-f725a2c2087d\npending\n"
    assert right(shown, printed.replace("pending", "ready")) == shown


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("```python\n1 / 0\n```\n", "in the block in line 1"),
        ("```yaml\nimage: x\nprot: 1\n```\n", "did you mean 'port'?"),
        ("```ruby\nputs 1\n```\n", "a block of `ruby` in line 1"),
        ("```\n1\n```\n", "a block of `` in line 1"),
    ],
)
def test_a_block_that_fails_is_refused(tmp_path: Path, block: str, said: str) -> None:
    """A block that raises, a spec that is none, and a language that nobody runs fail the page, and its place is told."""
    page = tmp_path / "page.md"
    page.write_text(block, encoding="utf-8")
    done = run(str(page))
    assert done.returncode == 1
    assert said in done.stderr


def test_what_is_not_run_says_why() -> None:
    """These blocks are not run, for these reasons, and no others."""
    reasons = {
        named(page): [block.reason for block in blocks_of(page.read_text(encoding="utf-8")) if block.reason]
        for page in PAGES
    }
    assert {page: found for page, found in reasons.items() if found} == NOT_RUN


@pytest.mark.parametrize("page", [*TOP.glob("*.md"), *TOP.glob("docs/**/*.md")], ids=named)
def test_no_code_stands_outside_of_blocks(page: Path) -> None:
    """Code that is marked by its indentation alone would not be run."""
    text = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"\n\n(    .*)", text) == []


def test_readme_types(tmp_path: Path) -> None:
    """The README's code is what a strict type checker accepts."""
    blocks = [block.text for block in blocks_of((TOP / "README.md").read_text(encoding="utf-8"))]
    path = tmp_path / "readme.py"
    path.write_text(blocks[1], encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_links() -> None:
    """Every link of a page to a file of the repository leads somewhere."""
    for page in [*TOP.glob("*.md"), *TOP.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


ERRORS = (TOP / "docs/errors.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_shown(name: str) -> None:
    """The page of the errors has a section for each class, in which it is met."""
    section = ERRORS.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    assert name in "".join(block.text for block in blocks_of(section))


def test_the_tree_of_the_errors() -> None:
    """The tree on the page is the one that stands above the classes."""
    drawn = re.findall(r"^ *([ │├└─]*\w+Error)\b", errors.__doc__ or "", re.MULTILINE)
    [tree] = [block.text.splitlines() for block in blocks_of(ERRORS) if "├" in block.text]
    assert [line.strip() for line in tree] == [line.strip() for line in drawn]
