"""Runs the code blocks of pages, top to bottom, and compares what they print with what the pages show.

    python             run; the blocks of a page share their names
    output             what the Python block before it prints
    pycon              a session of the interpreter: `>>>` lines, and what each prints or raises
    console            a session of the shell: `$` lines, and what each prints; `cat FILE` shows a file to have
    yaml, json, json5, toml
                       a spec, for `load_spec`

Behind the language may stand `file=NAME`, for a file to be saved, which is not run by itself; `columns=N`, for a
session on a terminal of that width; or `no-run: REASON`. What is in braces is for Sphinx. Where a page shows
`gradient server`, one is started on a free port, and the lines that it prints are exported for what follows.

Ids, ports, keys and times are compared by their form. `...` in what is shown stands for anything.
"""

from __future__ import annotations

import argparse
import difflib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir, redirect_stdout
from pathlib import Path
from typing import Any

from paperspace.gradient import configure
from paperspace.gradient.deployments import load_spec
from paperspace.gradient.server import LocalServer
from tools import TOP
from tools.docs.blocks import Block, blocks_of, right
from tools.docs.terminal import run_on_terminal

# The walk of regeneration.md changes a checkout, and is taken by tests/docs/test_walkthrough.py.
PAGES = sorted(
    {*TOP.glob("*.md"), *TOP.glob("docs/**/*.md"), *TOP.glob("docs/*.ipynb")} - {TOP / "docs/regeneration.md"}
)

SPECS = ("yaml", "json", "json5", "toml")

# What the home folder is called where it is printed.
HOME = "/home/you"

# No command of a page takes longer.
SECONDS = 120


class Runner:
    """Runs the blocks of one page: in the working directory, and with the environment, that it finds."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._printed = ""

    def transcript(self, block: Block) -> str:
        """The block as it has to be."""
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.text, encoding="utf-8")
        if block.reason or block.language.startswith("{"):
            return block.text
        if block.language in SPECS:
            return self._spec(block)
        run: dict[str, Callable[[Block], str]] = {
            "python": self._python,
            "output": lambda block: right(block.text, self._printed),
            "pycon": self._session,
            "console": self._shell,
        }
        if block.file:
            return block.text
        if block.language not in run:
            raise SystemExit(
                f"a block of `{block.language}` in line {block.line}: see the top of {Path(__file__).name}"
            )
        return run[block.language](block)

    def _spec(self, block: Block) -> str:
        path = Path(block.file or f"spec.{block.language}")
        path.write_text(block.text, encoding="utf-8")
        load_spec(path, image="image" if ":image" in block.text else None)
        return block.text

    def _python(self, block: Block) -> str:
        code = compile(block.text, f"<line {block.line}>", "exec")
        with redirect_stdout(io.StringIO()) as out:
            exec(code, self._names)  # noqa: S102  # that is what it is for
        self._printed = out.getvalue()
        return block.text

    def _session(self, block: Block) -> str:
        text = ""
        for entry in doctest.DocTestParser().parse(block.text):
            text += entry if isinstance(entry, str) else self._example(entry)
        return text

    def _example(self, example: doctest.Example) -> str:
        first, *rest = example.source.splitlines()
        typed = "".join([f">>> {first}\n", *(f"... {line}".rstrip() + "\n" for line in rest)])
        with redirect_stdout(io.StringIO()) as out:
            try:
                exec(compile(example.source, "<shown>", "single"), self._names)  # noqa: S102
            except Exception as error:  # noqa: BLE001  # to be shown, as the interpreter would
                message = "".join(traceback.format_exception_only(error))
                shown = example.exc_msg or ""
                return f"{typed}Traceback (most recent call last):\n    ...\n{right(shown, message)}"
        return typed + right(example.want, out.getvalue())

    def _shell(self, block: Block) -> str:
        text = ""
        for entry in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, shown = entry.partition("\n")
            while command.endswith("\\"):
                more, _, shown = shown.partition("\n")
                command += f"\n{more}"
            text += f"$ {command}\n{right(shown, self._command(command, shown, block.columns))}"
        return text

    def _command(self, command: str, shown: str, columns: int | None) -> str:
        if command.startswith("cat "):
            Path(command.removeprefix("cat ")).write_text(shown, encoding="utf-8")
            return shown
        if command.startswith("gradient server"):
            return self._server(command)
        bash = ["bash", "-c", command]
        if columns:
            printed = run_on_terminal(bash, columns)
        else:
            # What goes to standard error comes last, as a pipe would mix the two differently from run to run.
            done = subprocess.run(bash, capture_output=True, text=True, timeout=SECONDS, check=False)
            printed = done.stdout + done.stderr
        return printed.replace(f"{Path.cwd()}/", "").replace(os.environ["HOME"], HOME)

    def _server(self, command: str) -> str:
        """Starts a server, and does what the shell would do with the lines that it prints."""
        arguments = [*shlex.split(command), "--port", "0", "--database", ":memory:"]
        process = self._stack.enter_context(
            subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        )
        self._stack.callback(process.terminate)
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        lines = [process.stdout.readline() for _ in range(4)]
        for line in lines:
            if line.startswith("export "):
                for setting in shlex.split(line)[1:]:
                    name, _, os.environ[name] = setting.partition("=")
        configure()
        return "".join(lines)


def rewritten(page: Path) -> str:
    """The page with its blocks as they have to be.

    It is run in the working directory, and with the environment, that it finds.
    """
    text = page.read_text(encoding="utf-8")
    parts, end = [], 0
    with ExitStack() as stack:
        runner = Runner(stack)
        for block in blocks_of(text):
            try:
                printed = runner.transcript(block)
            except BaseException as error:
                error.add_note(f"in the block in line {block.line} of {page}")
                raise
            parts += [text[end : block.start], printed]
            end = block.start + len(block.text)
    return "".join([*parts, text[end:]])


def rewritten_notebook(notebook: Path) -> str:
    """The same for a notebook, which has its outputs in it."""
    from tools.docs.notebook import executed

    return right(notebook.read_text(encoding="utf-8"), executed(notebook))


def with_a_server(page: Path) -> str:
    """Either, in a folder of its own, beside a server of its own."""
    page = page.absolute()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (home / "work").mkdir()
        server = stack.enter_context(LocalServer(actor="First Last", api_key="the-key-of-the-pages"))
        for name in [name for name in os.environ if name.startswith("PAPERSPACE_")]:
            del os.environ[name]
        os.environ.update(
            PAPERSPACE_API_URL=server.url,
            PAPERSPACE_API_KEY=server.api_key,
            HOME=str(home),
            PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        )
        configure()
        stack.enter_context(chdir(home / "work"))
        return rewritten_notebook(page) if page.suffix == ".ipynb" else rewritten(page)


def difference(page: Path, expected: str) -> Iterator[str]:
    """What is not as it should be, line by line."""
    lines = page.read_text(encoding="utf-8").splitlines(keepends=True)
    return difflib.unified_diff(lines, expected.splitlines(keepends=True), f"{page}: shown", f"{page}: printed")


def main() -> int:
    """Compares pages, or writes them."""
    parser = argparse.ArgumentParser(
        "scripts/docs-run", description="Run the code blocks of pages, and compare what they print."
    )
    parser.add_argument(
        "page", type=Path, nargs="*", default=PAGES, help="a page or a notebook; by default all of them"
    )
    parser.add_argument("--write", action="store_true", help="put what they print into the pages")
    arguments = parser.parse_args()
    for page in arguments.page:
        if not page.is_file():
            parser.exit(2, f"there is no page {page}\n")
    stale = False
    for page in arguments.page:
        expected = with_a_server(page)
        changes = list(difference(page, expected))
        sys.stdout.writelines(changes)
        stale |= bool(changes)
        if arguments.write:
            page.write_text(expected, encoding="utf-8")
    return 1 if stale and not arguments.write else 0


if __name__ == "__main__":
    sys.exit(main())
