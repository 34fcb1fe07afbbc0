"""What all commands share: how quickly they load, where their options stand, and how they end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest
from tests.cli.conftest import GRADIENT, Run, own_process

from paperspace.gradient import deployments, errors
from paperspace.gradient._version import __version__
from paperspace.gradient.cli import main
from paperspace.gradient.cli._errors import ExitCode, exit_code

HEAVY = {"aiohttp", "asyncio", "gql", "graphql", "multiprocessing", "pydantic", "rich", "yaml"}

# What every error of the library means as an exit code.
CODES = {
    "APIConnectionError": 1,
    "APIError": 1,
    "APIStatusError": 1,
    "APITimeoutError": 7,
    "DeploymentFailedError": 6,
    "WaitTimeoutError": 7,
    "AuthenticationError": 4,
    "BadRequestError": 1,
    "ClientClosedError": 1,
    "ConfigurationError": 2,
    "ConflictError": 1,
    "EndpointNotFoundError": 1,
    "GradientError": 1,
    "InvalidArgumentError": 2,
    "InvalidSpecError": 5,
    "MalformedResponseError": 1,
    "NotFoundError": 3,
    "OutcomeUnknownError": 1,
    "PaginationError": 1,
    "PartialResultError": 1,
    "PermissionDeniedError": 4,
    "RateLimitError": 1,
    "RedirectError": 1,
    "ResponseTooLargeError": 1,
    "SchemaError": 1,
    "ServerError": 1,
    "TLSError": 1,
}


def every_command(command: click.Command = main, *names: str) -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it."""
    found: list[tuple[tuple[str, ...], click.Command]] = [(names, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner
            found += every_command(inner, *names, name)
    return found


COMMANDS = [
    (names, command) for names, command in every_command() if names != ("server",)
]  # its help has a form of its own


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        [],
        ["deployments", "--help"],
        ["deployments", "list", "--help"],
        ["deployments", "create", "--help"],
        ["config", "show", "--help"],
        ["apiKey", "--help"],
        ["deployments", "get"],
    ],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Help, the version and a wrong call load none of the libraries that take long to load."""
    script = (
        "import sys\nfrom paperspace.gradient.cli import main\n"
        f"try: main({arguments!r}, prog_name='gradient')\n"
        f"except SystemExit: print('heavy:', sorted({HEAVY!r} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.endswith("heavy: []\n")


@pytest.mark.parametrize(("names", "command"), COMMANDS, ids=[" ".join(("gradient", *names)) for names, _ in COMMANDS])
def test_help_has_an_example(run: Run, names: tuple[str, ...], command: click.Command) -> None:
    """Every command has help, with an example that calls it, and the options of every command."""
    shown = run(*names, "--help")
    assert shown.exit_code == 0
    assert re.search(rf"Examples?:\n.*gradient {' '.join(names)}", shown.stdout, re.DOTALL)
    assert command.get_short_help_str(200)
    assert all(option in shown.stdout for option in ("--api-key, --apiKey KEY", "--api-url URL", "--debug"))


def test_summaries_are_those_of_the_commands() -> None:
    """What the help of the whole says of a command is what the command says of itself."""
    context = click.Context(main)
    for name, late in main.late.items():
        command = main.get_command(context, name)
        assert command
        assert command.get_short_help_str(200).removesuffix(".") == late.summary.removesuffix(".")


@pytest.mark.usefixtures("environment")
def test_options_of_every_command_stand_anywhere(run: Run) -> None:
    """The key, in either spelling, is taken before and behind each word; the rightmost goes first."""
    for place in range(3):
        for option in ("--api-key", "--apiKey"):
            words = ["deployments", "list"]
            words[place:place] = [option, "wrong"]
            assert run(*words).exit_code == ExitCode.AUTH
    assert run("--apiKey", "wrong", "deployments", "list", "--api-key", "a-key-for-tests").exit_code == 0


@pytest.mark.parametrize("name", errors.__all__)
def test_exit_code(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every error of the library has its exit code, and is one paragraph on stderr with its message in it."""
    kind = getattr(errors, name)

    def fail() -> None:
        raise kind("this went wrong")

    assert exit_code(fail, lambda: False) == CODES[name]
    out, err = capsys.readouterr()
    assert (out, "Error: this went wrong" in err, "Traceback" in err) == ("", True, False)
    assert err.endswith("\n")
    assert "\n\n" not in err


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (KeyError("x"), "Error: a fault of this program, KeyError: 'x'; --debug shows where\n"),
        (FileNotFoundError(2, "No such file", "a.txt"), "Error: a.txt: No such file\n"),
        (errors.ServerError("a \x1b[31mred\x07 name"), "Error: a \ufffd[31mred\ufffd name;"),
        (errors.APIConnectionError("Is it there?"), "Error: Is it there? `gradient config show` says which address"),
        (errors.PermissionDeniedError("No."), "Error: No; `gradient config show` says where the key comes from\n"),
        (errors.ConfigurationError("the key from the argument api_key"), "Error: the key from --api-key\n"),
    ],
)
def test_words(fault: Exception, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The paragraph says what, where and what to do, for whatever was raised, and steers no terminal."""

    def fail() -> None:
        raise fault

    assert exit_code(fail, lambda: False) in {1, 2, 4}
    assert words in capsys.readouterr().err


@pytest.mark.usefixtures("environment")
def test_debug_tells_everything(run: Run) -> None:
    """`--debug`, wherever it stands, adds the traceback and the facts of the error, and the key is in neither."""
    missing = "d4e74a9c-b125-4bd7-b143-8f5c386df8a9"
    for words in (["--debug", "deployments", "get", missing], ["deployments", "get", missing, "--debug"]):
        shown = run(*words)
        assert shown.exit_code == ExitCode.NOT_FOUND
        assert shown.stderr.startswith("Traceback (most recent call last):\n")
        assert "\noperation: Deployment\n" in shown.stderr
        assert shown.stderr.endswith(f"there is no deployment with the id {missing}, or it is deleted\n")
        assert "a-key-for-tests" not in shown.output


def test_debug_tells_the_causes(run: Run) -> None:
    """The traceback goes down to the error of the library below."""
    shown = run("--debug", "--apiKey", "k", "--api-url", "http://127.0.0.1:9/graphql", "deployments", "list")
    assert shown.exit_code == ExitCode.FAILED
    assert "ConnectionRefusedError" in shown.stderr


def test_wrong_calls(run: Run) -> None:
    """A wrong call ends with the usage, with what is wrong, and with 2."""
    for words in (["nonsense"], ["deployments", "nonsense"], ["deployments", "list", "--nonsense"], []):
        shown = run(*words)
        assert (shown.exit_code, shown.stdout) == (ExitCode.USAGE, "")
        assert shown.stderr.startswith("Usage: gradient")


def test_no_key(run: Run) -> None:
    """Without a key, the exit code is that of authentication, and the paragraph says how to come by one."""
    shown = run("deployments", "list")
    assert (shown.exit_code, shown.stdout) == (ExitCode.AUTH, "")
    assert "gradient apiKey KEY" in shown.stderr
    assert "gradient server" in shown.stderr


def test_ctrl_c() -> None:
    """Ctrl-C in the middle of a call ends it at once, with 130 and without a word."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/graphql"
        with subprocess.Popen(
            [*GRADIENT, "--api-key", "k", "--api-url", url, "deployments", "list"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            connection, _ = listener.accept()
            connection.recv(1)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
            connection.close()
    assert (process.returncode, out, err) == (130, "", "")


@pytest.mark.parametrize("words", [["--help"], ["deployments", "list"], ["deployments", "list", "-o", "json"]])
def test_a_reader_that_leaves(words: list[str], environment: dict[str, str]) -> None:
    """Piped into something that reads no more, such as `head`, the command says nothing about it."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*GRADIENT, *words], stdout=writing, stderr=subprocess.PIPE, check=False, env=environment)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_full_disk(environment: dict[str, str]) -> None:
    """A result that cannot be written is a failure, and said."""
    with open("/dev/full", "w") as full:  # noqa: PTH123  # it is no path to work on
        words = [*GRADIENT, "deployments", "list"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (1, "Error: No space left on device\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_streams_that_are_missing(closed: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """Whichever of the three streams is closed, or cannot be written to, the work is done and the exit code says so."""
    file = tmp_path / "spec.yaml"
    file.write_text("image: nginx\n", encoding="utf-8")
    apply = ["deployments", "apply", "--name", "n", "--project-id", "p", "--spec", str(file)]
    unknown = ["deployments", "get", "00000000-0000-0000-0000-0000000000ff"]
    for words, code in {(*apply,): 0, (*unknown,): ExitCode.NOT_FOUND, ("nonsense",): ExitCode.USAGE}.items():
        shell = ["sh", "-c", f'"$@" {closed}', "sh", *GRADIENT, *words]
        done = subprocess.run(shell, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == code, done
        assert "fault" not in done.stderr
    assert [deployment["name"] for deployment in deployments.list_deployments()] == ["n"]


def test_no_socket_in_the_place_of_a_stream() -> None:
    """The descriptors of streams that are missing lead to the null device, and to nothing that is opened later."""
    script = (
        "import os, sys; from paperspace.gradient.cli import _streams; _streams.complete(); "
        "nowhere = [os.path.samestat(os.fstat(number), os.stat(os.devnull)) for number in range(3)]; "
        "print('gone'); print('gone', file=sys.stderr); sys.exit(not all(nowhere) or sys.stdin.read() != '')"
    )
    words = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", sys.executable, "-W", "error", "-c", script]
    assert subprocess.run(words, check=False).returncode == 0


def test_version() -> None:
    """`--version` says which one this is."""
    assert re.fullmatch(r"gradient, version \S+\n", own_process("--version").stdout)


def test_every_code_is_documented(run: Run) -> None:
    """The help lists every exit code."""
    listed: Any = re.findall(r"(\d+)  \w", run("--help").stdout.partition("Exit codes:")[2].partition("Example")[0])
    assert sorted(map(int, listed)) == [*ExitCode, 130]


def test_as_a_module() -> None:
    """`python -m paperspace.gradient` is the command."""
    command = [sys.executable, "-W", "error", "-m", "paperspace.gradient", "--version"]
    assert subprocess.check_output(command, text=True) == f"gradient, version {__version__}\n"


def test_interrupted_at_the_start() -> None:
    """Ctrl-C while the command is still being loaded ends it as it does later: with 130, and without a traceback."""
    code = (
        "import sys\n"
        "class Late:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'click': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Late())\n"
        "from paperspace.gradient.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
