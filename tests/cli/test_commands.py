"""What all commands share: lazy imports, common options, errors and exit codes."""

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
from tests.cli.conftest import GRADIENT, TIMEOUT, Run, run_process

from paperspace.gradient import deployments, errors
from paperspace.gradient._version import __version__
from paperspace.gradient.cli._commands import CommonOptions
from paperspace.gradient.cli._errors import exit_code
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli._lazy_group import LazyGroup
from paperspace.gradient.cli.deployments import command as deployments_group
from paperspace.gradient.cli.main import main

HEAVY = {"aiohttp", "asyncio", "gql", "graphql", "multiprocessing", "pydantic", "rich", "yaml"}

# The exit code of every error of the library.
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
    "MissingAPIKeyError": 4,
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
    """Return every command with the names that call it."""
    commands: list[tuple[tuple[str, ...], click.Command]] = [(names, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            subcommand = command.get_command(context, name)
            assert subcommand
            commands += every_command(subcommand, *names, name)
    return commands


# `server` and its subcommands do not have the common options.
COMMANDS = [(names, command) for names, command in every_command() if names[:1] != ("server",)]


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
    """Help, --version and usage errors import none of the libraries that are slow to import."""
    script = (
        "import sys\nfrom paperspace.gradient.cli.main import main\n"
        f"try: main({arguments!r}, prog_name='gradient')\n"
        f"except SystemExit: print('heavy:', sorted({HEAVY!r} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.endswith("heavy: []\n")


@pytest.mark.parametrize(("names", "command"), COMMANDS, ids=[" ".join(("gradient", *names)) for names, _ in COMMANDS])
def test_help_has_an_example(run: Run, names: tuple[str, ...], command: click.Command) -> None:
    """The help of every command has a summary, an example that calls it, and the common options."""
    shown = run(*names, "--help")
    assert shown.exit_code == 0
    assert re.search(rf"Examples?:\n.*gradient {' '.join(names)}", shown.stdout, re.DOTALL)
    assert command.get_short_help_str(200)
    assert all(option in shown.stdout for option in ("--api-key, --apiKey KEY", "--api-url URL", "--debug"))


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        (["projects", "list"], "pass any id as --project-id."),
        (["--apiKey", "k", "clusters", "list"], "pass any id as --cluster-id."),
        (["login", "--email", "a@example.com"], "Use `gradient apiKey KEY`."),
        (["secrets", "list"], "`gradient server secrets` stores secrets for specs, on the machine of the server."),
        (["models", "list"], "`gradient server --models DIR` serves the models of a folder to deployments."),
        (["notebooks", "list"], "This command manages deployments only."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_commands_of_the_retired_client(run: Run, words: list[str], instead: str) -> None:
    """A command that only the retired client has is a usage error that says what to do instead."""
    shown = run(*words)
    assert (shown.exit_code, shown.stdout) == (ExitCode.USAGE, "")
    assert "of the retired official client does not exist here. " in shown.stderr
    assert shown.stderr.endswith(f"{instead}\n")


@pytest.mark.parametrize("group", [main, deployments_group], ids=lambda group: group.name)
def test_lazy_summaries(group: LazyGroup) -> None:
    """The summaries in the help of a group are the first sentences of the commands' help."""
    context = click.Context(group)
    for name, lazy in group.lazy_commands.items():
        command = group.get_command(context, name)
        assert command
        assert command.name == name
        assert command.get_short_help_str(200).removesuffix(".") == lazy.summary.removesuffix(".")


@pytest.mark.usefixtures("environment")
def test_common_options_stand_anywhere(run: Run) -> None:
    """--api-key, in both spellings, is accepted before and after each name; the rightmost one wins."""
    for index in range(3):
        for option in ("--api-key", "--apiKey"):
            words = ["deployments", "list"]
            words[index:index] = [option, "wrong"]
            assert run(*words).exit_code == ExitCode.AUTHENTICATION
    assert run("--apiKey", "wrong", "deployments", "list", "--api-key", "a-key-for-tests").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--api-key", "k", "server", "--host", "192.0.2.1"], "--api-key works only with commands that connect to the API, not with `server`. Pass the API key"),
        (["--api-url", "http://127.0.0.1:1/graphql", "server", "--host", "192.0.2.1"], "--api-url works only with commands that connect"),
        (["--api-key", "k", "server", "secrets", "list"], "--api-key works only with commands that connect to the API"),
        (["server", "--api-key", "k", "secrets", "list"], "--api-key cannot be combined with `secrets`."),
        (["server", "--engine", "docker", "status"], "--engine cannot be combined with `status`."),
        (["server", "--yes", "prune"], "--yes cannot be combined with `prune`."),
        (["server", "--reset", "down"], "--reset cannot be combined with `down`."),
    ],
)  # fmt: skip
def test_options_without_an_effect(run: Run, words: list[str], message: str) -> None:
    """Options of a client before `server`, and options of the server before another command, are errors: they would be ignored."""
    refused = run(*words, "--database", ":memory:")
    assert (refused.exit_code, refused.stderr.splitlines()[-1][: len(f"Error: {message}")]) == (2, f"Error: {message}")


def test_every_error_has_an_exit_code() -> None:
    """The table above lists every error of the library."""
    kinds = {name: getattr(errors, name) for name in errors.__all__}
    assert CODES.keys() == {name for name, kind in kinds.items() if issubclass(kind, Exception)}


@pytest.mark.parametrize("name", CODES)
def test_exit_code(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every error of the library has an exit code, and prints its message to stderr without a traceback."""
    kind = getattr(errors, name)

    def fail() -> None:
        raise kind("this went wrong")

    assert exit_code(fail, CommonOptions()) == CODES[name]
    out, err = capsys.readouterr()
    message = "no API key" if kind is errors.MissingAPIKeyError else "this went wrong"
    assert (out, f"Error: {message}" in err, "Traceback" in err) == ("", True, False)
    assert err.endswith("\n")
    assert "\n\n" not in err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            KeyError("x"),
            1,
            "Error: internal error: KeyError: 'x'\nHint: --debug shows the traceback; report it with the error\n",
        ),
        (FileNotFoundError(2, "No such file", "a.txt"), 1, "Error: a.txt: No such file\n"),
        (
            errors.ServerError("a \x1b[31mred\x07 name", code="X", request_id="1"),
            1,
            "Error: a \ufffd[31mred\ufffd name\nHint: --debug shows the request id; report it with the error\n",
        ),
        (
            errors.APIConnectionError("refused"),
            1,
            "Error: refused\nHint: `gradient config show` shows the API URL and where it comes from\n",
        ),
        (
            errors.PermissionDeniedError("No."),
            4,
            "Error: No.\nHint: `gradient config show` shows where the API key comes from\n",
        ),
    ],
)
def test_messages(error: Exception, code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An error prints its message, and a hint what to do; control characters cannot reach the terminal."""

    def fail() -> None:
        raise error

    assert exit_code(fail, CommonOptions()) == code
    assert capsys.readouterr().err == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--api-key", "two words", "deployments", "list"], "from --api-key"),
        (["--api-key", "k", "--api-url", "nonsense", "deployments", "list"], "--api-url"),
        (["--api-key", "k", "schema", "pull", "nonsense"], "URL"),
        (["apiKey", "two words"], "from KEY"),
        (["--api-key", "k", "schema", "pull", ""], "URL"),
        (["apiKey", "k", "--api-url", "nonsense"], "--api-url"),
        (["apiKey", "k", "--api-url", ""], "--api-url"),
    ],
)
def test_messages_name_options(run: Run, arguments: list[str], message: str) -> None:
    """A message about an invalid setting names the option or argument of the command line that it comes from."""
    result = run(*arguments)
    assert result.exit_code == ExitCode.USAGE
    assert message in result.stderr
    assert "the argument" not in result.stderr


@pytest.mark.usefixtures("environment")
def test_rejected_key_names_its_source(run: Run) -> None:
    """The message about a key that the server rejects names the option or variable that it comes from."""
    for arguments in (["deployments", "list"], ["schema", "pull"]):
        assert "the API key comes from --api-key\n" in run(*arguments, "--api-key", "wrong").stderr
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PAPERSPACE_API_KEY", "wrong")
            assert "the API key comes from PAPERSPACE_API_KEY\n" in run(*arguments).stderr


@pytest.mark.usefixtures("environment")
def test_debug(run: Run) -> None:
    """--debug, before or after the command, adds the traceback and the details of the error, without the API key."""
    missing = "d4e74a9c-b125-4bd7-b143-8f5c386df8a9"
    for words in (["--debug", "deployments", "get", missing], ["deployments", "get", missing, "--debug"]):
        shown = run(*words)
        assert shown.exit_code == ExitCode.NOT_FOUND
        assert shown.stderr.startswith("Traceback (most recent call last):\n")
        assert "\noperation: DeploymentRuns\n" in shown.stderr
        assert shown.stderr.endswith(f"no deployment has the id {missing}, or it is deleted\n")
        assert "a-key-for-tests" not in shown.output


def test_debug_shows_causes(run: Run) -> None:
    """The traceback of --debug includes the original error of the network."""
    shown = run("--debug", "--apiKey", "k", "--api-url", "http://127.0.0.1:9/graphql", "deployments", "list")
    assert shown.exit_code == ExitCode.FAILED
    assert "ConnectionRefusedError" in shown.stderr


def test_usage_errors(run: Run) -> None:
    """A usage error prints the usage to stderr and exits with 2."""
    for words in (["nonsense"], ["deployments", "nonsense"], ["deployments", "list", "--nonsense"], []):
        shown = run(*words)
        assert (shown.exit_code, shown.stdout) == (ExitCode.USAGE, "")
        assert shown.stderr.startswith("Usage: gradient")


def test_options_of_1x(run: Run) -> None:
    """An option that only the official client 1.x has is a usage error that says so."""
    shown = run("deployments", "create", "--name", "a", "--imageUrl", "x")
    assert (shown.exit_code, shown.stdout) == (ExitCode.USAGE, "")
    assert (
        "--imageUrl is an option of `gradient` 1.x. Here, the spec file and the options of --help replace it."
        in shown.stderr
    )


@pytest.mark.parametrize(("typed", "meant"), [("deployment", "deployments"), ("apikey", "apiKey"), ("serve", "server")])
def test_similar_command(run: Run, typed: str, meant: str) -> None:
    """An unknown command suggests the command with a similar name."""
    shown = run(typed)
    assert (shown.exit_code, shown.stdout) == (ExitCode.USAGE, "")
    assert f"No such command '{typed}'. Did you mean '{meant}'?" in shown.stderr


def test_no_key(run: Run) -> None:
    """Without an API key, the exit code is 4, and the message says how to set one."""
    shown = run("deployments", "list")
    assert (shown.exit_code, shown.stdout) == (ExitCode.AUTHENTICATION, "")
    assert "gradient apiKey KEY" in shown.stderr
    assert "gradient server" in shown.stderr


def test_ctrl_c() -> None:
    """Ctrl-C during a request exits with 130 and prints nothing."""
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
            out, err = process.communicate(timeout=TIMEOUT)
            connection.close()
    assert (process.returncode, out, err) == (130, "", "")


@pytest.mark.parametrize("words", [["--help"], ["deployments", "list"], ["deployments", "list", "-o", "json"]])
def test_closed_pipe(words: list[str], environment: dict[str, str]) -> None:
    """If the reader of a pipe is gone, as with `head`, the command exits with 1 and prints nothing."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*GRADIENT, *words], stdout=writing, stderr=subprocess.PIPE, check=False, env=environment)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("format_", ["json", "yaml"])
def test_output_formats_of_other_commands(run: Run, format_: str) -> None:
    """`--json`, as other commands have it, is answered with the right option, where there is one."""
    refused = run("deployments", "list", f"--{format_}")
    assert (refused.exit_code, f"Did you mean '--output {format_}'?" in refused.stderr) == (ExitCode.USAGE, True)
    refused = run("deployments", "open", f"--{format_}")
    assert (refused.exit_code, "Did you mean" in refused.stderr) == (ExitCode.USAGE, False)


def test_changes_with_a_closed_pipe(tmp_path: Path, environment: dict[str, str]) -> None:
    """If the reader of a pipe is gone, as with `head -1`, a command with several changes makes all of them."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\nimage: nginx\n", encoding="utf-8")
    reading, writing = os.pipe()
    os.close(reading)

    def run_into_pipe(*words: str) -> None:
        done = subprocess.run([*GRADIENT, *words], stdout=writing, stderr=subprocess.PIPE, check=False, env=environment)
        assert (done.returncode, b"rror" in done.stderr) == (0, False)

    run_into_pipe("deployments", "apply", "--project-id", "p", str(tmp_path))
    ids = [deployment["id"] for deployment in deployments.list_deployments()]
    assert len(ids) == 2
    run_into_pipe("deployments", "delete", "--yes", *ids)
    assert deployments.list_deployments() == []
    os.close(writing)


def test_full_disk(environment: dict[str, str]) -> None:
    """A result that cannot be written is an error."""
    with open("/dev/full", "w") as full:  # noqa: PTH123  # a device
        words = [*GRADIENT, "deployments", "list"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (1, "Error: cannot write to standard output: No space left on device\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_is_written_in_part(unbuffered: str, tmp_path: Path) -> None:
    """A result of which only the beginning can be written is an error, also with PYTHONUNBUFFERED, as containers set it."""
    words = ["sh", "-c", 'ulimit -f 1; "$@" > "$0"', str(tmp_path / "schema.json"), *GRADIENT, "schema", "spec"]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(words, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (1, "Error: cannot write to standard output: File too large\n")


def test_changes_on_a_full_disk(tmp_path: Path, environment: dict[str, str]) -> None:
    """If the results of changes cannot be written, all changes are made, the results are messages, and the exit code is 1."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\nimage: nginx\n", encoding="utf-8")

    def messages_of(*words: str) -> str:
        with open("/dev/full", "w") as full:  # noqa: PTH123  # a device
            command = [*GRADIENT, "deployments", *words]
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment)
        assert (done.returncode, done.stderr.count("Cannot write to standard output: No space")) == (1, 1)
        return done.stderr

    created = messages_of("apply", "--project-id", "p", str(tmp_path))
    ids = {deployment["name"]: deployment["id"] for deployment in deployments.list_deployments()}
    assert all(f"Created deployment: {ids[name]} ({name})\n" in created for name in ("a", "b"))
    assert ids["a"] in messages_of("scale", ids["a"], "--replicas", "2", "-o", "json")
    deleted = messages_of("delete", "--yes", *ids.values())
    assert all(f"Deleted deployment: {id_}\n" in deleted for id_ in ids.values())


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_missing_streams(closed: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """With any standard stream closed or broken, the command does its work and has its usual exit code."""
    file = tmp_path / "spec.yaml"
    file.write_text("image: nginx\n", encoding="utf-8")
    apply = ["deployments", "apply", "--name", "n", "--project-id", "p", "--spec", str(file)]
    unknown = ["deployments", "get", "00000000-0000-0000-0000-0000000000ff"]
    for words, code in {(*apply,): 0, (*unknown,): ExitCode.NOT_FOUND, ("nonsense",): ExitCode.USAGE}.items():
        shell = ["sh", "-c", f'"$@" {closed}', "sh", *GRADIENT, *words]
        done = subprocess.run(shell, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == code, done
        assert "internal error" not in done.stderr
    assert [deployment["name"] for deployment in deployments.list_deployments()] == ["n"]


def test_missing_streams_are_null() -> None:
    """The descriptors of missing streams are the null device, so that files opened later do not get them."""
    script = (
        "import os, sys; from paperspace.gradient.cli._output import replace_missing_streams; "
        "replace_missing_streams(); "
        "null = [os.path.samestat(os.fstat(number), os.stat(os.devnull)) for number in range(3)]; "
        "print('gone'); print('gone', file=sys.stderr); sys.exit(not all(null) or sys.stdin.read() != '')"
    )
    words = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", sys.executable, "-W", "error", "-c", script]
    assert subprocess.run(words, check=False).returncode == 0


def test_version() -> None:
    """--version prints the version."""
    assert run_process("--version").stdout == f"gradient, version {__version__}\n"


def test_every_exit_code_is_documented(run: Run) -> None:
    """The help lists every exit code."""
    listed: Any = re.findall(r"(\d+)  \w", run("--help").stdout.partition("Exit codes:")[2].partition("Example")[0])
    assert sorted(map(int, listed)) == [*ExitCode]


def test_as_a_module() -> None:
    """`python -m paperspace.gradient` is the command."""
    command = [sys.executable, "-W", "error", "-m", "paperspace.gradient", "--version"]
    assert subprocess.check_output(command, text=True) == f"gradient, version {__version__}\n"


@pytest.mark.parametrize(("name", "expected"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_interrupted_at_the_start(name: str, expected: int) -> None:
    """Ctrl-C and SIGTERM while modules are imported exit with 130 and 143, without a traceback."""
    code = (
        "import signal, sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == 'click': signal.raise_signal(signal.{name})\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from paperspace.gradient.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (expected, "", "")
