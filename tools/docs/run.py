"""Run the code blocks of pages, from top to bottom, and compare their output with what the pages show.

The language of a block says how it is run:

    python             run as Python; the blocks of a page share their variables
    output             compared with the output of the Python block before it
    pycon              a Python session: `>>>` lines, and what each prints or raises
    console            a shell session: `$` lines, and what each prints; `cat FILE` creates the file
    yaml, json, json5, toml
                       a spec, read by `load_spec`
    {...}              a directive of Sphinx, not run

An attribute may follow the language:

    file=NAME          save the block as a file; a Python block with a file is not run
    columns=N          run the shell session on a terminal of this width
    program=NAME       the block is run only where this program is installed
    engine             the block needs a Docker engine: tests/engine/test_pages.py runs it, and not the other blocks
    no-run: REASON     do not run the block

`gradient server` in a shell session starts a server, and applies its `export` lines to the rest of the page. Without a Docker
engine, it uses a free port. With `--in-a-row`, the server of the pages before goes on running instead. `pip install` is not
run: the package is installed.

In comparisons, all ids are equal, and so are all ports, keys and times. `...` in the output on the page matches any text.
"""

from __future__ import annotations

import argparse
import difflib
import doctest
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, chdir, redirect_stdout
from itertools import chain
from pathlib import Path
from typing import Any

from paperspace.gradient import configure
from paperspace.gradient.deployments import load_spec
from paperspace.gradient.server import LocalServer
from tools import TOP
from tools.docs.blocks import Block, blocks_of, commands_of, updated
from tools.docs.terminal import run_on_terminal

# Without regeneration.md: its commands change a checkout. tests/docs/test_walkthrough.py runs them in a copy.
PAGES = sorted(
    {*TOP.glob("*.md"), *TOP.glob("docs/**/*.md"), *TOP.glob("docs/*.ipynb")} - {TOP / "docs/regeneration.md"}
)

SPECS = ("yaml", "json", "json5", "toml")

# The home folder in printed paths.
HOME = "/home/you"

# The timeout of a command, in seconds.
SECONDS = 120


class Runner:
    """Run the blocks of one page, in the current directory and environment.

    Args:
        stack: Stops what the blocks start.
        engine: Whether to run the blocks that need a Docker engine, and not the others.
        server_runs: Whether to use the server of the environment in place of those that the page starts.
    """

    def __init__(self, stack: ExitStack, *, engine: bool, server_runs: bool) -> None:
        self._stack = stack
        self._engine = engine
        self._server_runs = server_runs
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._printed = ""

    def transcript(self, block: Block) -> str:
        """Run the block and return its text with up-to-date output."""
        if block.needs_engine and not self._engine:
            return block.text
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.text, encoding="utf-8")
        if block.program and not shutil.which(block.program):
            return block.text
        if block.reason or block.language.startswith("{") or block.needs_engine != self._engine:
            return block.text
        if block.language in SPECS:
            return self._spec(block)
        run: dict[str, Callable[[Block], str]] = {
            "python": self._python,
            "output": lambda block: updated(block.text, self._printed),
            "pycon": self._session,
            "console": self._shell,
        }
        if block.file:
            return block.text
        if block.language not in run:
            raise SystemExit(
                f"unknown language `{block.language}` of the block in line {block.line}: see the top of {Path(__file__).name}"
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
            exec(code, self._names)  # noqa: S102  # the purpose of this module
        self._printed = out.getvalue()
        return block.text

    def _session(self, block: Block) -> str:
        text = ""
        for part in doctest.DocTestParser().parse(block.text):
            text += part if isinstance(part, str) else self._example(part)
        return text

    def _example(self, example: doctest.Example) -> str:
        first, *rest = example.source.splitlines()
        typed = "".join([f">>> {first}\n", *(f"... {line}".rstrip() + "\n" for line in rest)])
        with redirect_stdout(io.StringIO()) as out:
            try:
                exec(compile(example.source, "<shown>", "single"), self._names)  # noqa: S102
            except Exception as error:  # noqa: BLE001  # shown like in the interpreter
                message = "".join(traceback.format_exception_only(error))
                shown = example.exc_msg or ""
                return f"{typed}Traceback (most recent call last):\n    ...\n{updated(shown, message)}"
        return typed + updated(example.want, out.getvalue())

    def _shell(self, block: Block) -> str:
        return "".join(
            f"$ {command}\n{updated(shown, self._command(command, shown, block.columns))}"
            for command, shown in commands_of(block.text)
        )

    def _command(self, command: str, shown: str, columns: int | None) -> str:
        if command.startswith("cat "):
            Path(command.removeprefix("cat ")).write_text(shown, encoding="utf-8")
            return shown
        if command.startswith("pip install "):
            return shown
        if re.match(r"gradient server( -|$)", command):
            return shown if self._server_runs else self._server(command)
        bash = ["bash", "-c", command]
        if columns:
            printed = run_on_terminal(bash, columns)
        else:
            # Standard error comes last: the order in a shared pipe differs from run to run.
            done = subprocess.run(bash, capture_output=True, text=True, timeout=SECONDS, check=False)
            printed = done.stdout + done.stderr
        return printed.replace(f"{Path.cwd()}/", "").replace(os.environ["HOME"], HOME)

    def _server(self, command: str) -> str:
        """Start a server, and set the variables that it prints as `export` lines."""
        arguments = shlex.split(command, comments=True)
        if not self._engine:
            arguments += ["--port", "0", "--database", ":memory:", "--engine", "simulated"]
        process = self._stack.enter_context(
            subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        )
        self._stack.callback(process.terminate)
        if self._engine:
            self._stack.callback(
                subprocess.run, ["gradient", "server", "down", "--now"], capture_output=True, check=True
            )
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        lines = [process.stdout.readline()]
        while lines[-1] and not lines[-1].startswith("Console: "):
            lines.append(process.stdout.readline())
        for line in lines:
            if line.startswith("export "):
                for setting in shlex.split(line)[1:]:
                    name, _, os.environ[name] = setting.partition("=")
        configure()
        return "".join(lines)


def rewritten(page: Path, *, engine: bool = False, server_runs: bool = False) -> str:
    """The text of the page with up-to-date output. Runs in the current directory and environment.

    Args:
        page: The page.
        engine: Whether to run the blocks that need a Docker engine, and not the others.
        server_runs: Whether to use the server of the environment in place of those that the page starts.
    """
    text = page.read_text(encoding="utf-8")
    parts, end = [], 0
    with ExitStack() as stack:
        runner = Runner(stack, engine=engine, server_runs=server_runs)
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
    """The text of the notebook with up-to-date output. All of it is of one run: cells show the same ids."""
    from tools.docs.notebook import executed

    shown, printed = notebook.read_text(encoding="utf-8"), executed(notebook)
    return shown if updated(shown, printed) == shown else printed


def rewritten_beside_server(pages: Sequence[Path], *, engine: bool = False) -> Iterator[tuple[Path, str]]:
    """Each page or notebook with its text with up-to-date output. One server runs; each page has a new folder."""
    pages = [page.absolute() for page in pages]
    before = {name: value for name, value in os.environ.items() if not name.startswith(("PAPERSPACE_", "XDG_"))}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(LocalServer(actor="First Last", api_key="the-key-of-the-pages"))
        for page in pages:
            os.environ.clear()
            os.environ.update(
                before,
                PAPERSPACE_API_URL=server.url,
                PAPERSPACE_API_KEY=server.api_key,
                HOME=str(home),
                PATH=f"{Path(sys.executable).parent}{os.pathsep}{before['PATH']}",
            )
            configure()
            with chdir(tempfile.mkdtemp(dir=home)):
                if page.suffix == ".ipynb":
                    yield page, rewritten_notebook(page)
                else:
                    yield page, rewritten(page, engine=engine, server_runs=len(pages) > 1)


def difference(page: Path, expected: str) -> Iterator[str]:
    """The unified diff between the page and the expected text."""
    lines = page.read_text(encoding="utf-8").splitlines(keepends=True)
    return difflib.unified_diff(lines, expected.splitlines(keepends=True), f"{page}: shown", f"{page}: printed")


def main() -> int:
    """Compare pages, or write them."""
    parser = argparse.ArgumentParser(
        "scripts/docs-run", description="Run the code blocks of pages and compare their output."
    )
    parser.add_argument("page", type=Path, nargs="*", default=PAGES, help="a page or a notebook (default: all)")
    parser.add_argument("--write", action="store_true", help="write the output into the pages")
    parser.add_argument(
        "--engine",
        action="store_true",
        help="run only the blocks that need a Docker engine, on the one of this machine",
    )
    parser.add_argument(
        "--in-a-row",
        action="store_true",
        help="run the pages one after another on the same server, as a reader who follows them all",
    )
    arguments = parser.parse_args()
    for page in arguments.page:
        if not page.is_file():
            parser.exit(2, f"{page}: no such file\n")
    stale = False
    rows = [arguments.page] if arguments.in_a_row else [[page] for page in arguments.page]
    rewrites = chain.from_iterable(rewritten_beside_server(row, engine=arguments.engine) for row in rows)
    for page, expected in rewrites:
        changes = list(difference(page, expected))
        sys.stdout.writelines(changes)
        stale |= bool(changes)
        if arguments.write:
            page.write_text(expected, encoding="utf-8")
    return 1 if stale and not arguments.write else 0


if __name__ == "__main__":
    sys.exit(main())
