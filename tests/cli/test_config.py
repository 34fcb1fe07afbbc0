"""`gradient apiKey`, `logout` and `config show`: what is stored, where, and with which permissions."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pytest
import yaml
from tests.cli.conftest import CALL, GRADIENT, TIMEOUT, Run

from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli.config import store_in_config
from paperspace.gradient.config import read_config
from paperspace.gradient.server import LocalServer

KEY = "0123456789abcdef0123456789abcdef"


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_key_is_stored(run: Run, config_file: Path) -> None:
    """`apiKey` writes the file of the retired client; only the owner can read the file and its directory."""
    shown = run("apiKey", KEY)
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert shown.stderr == f"Stored the API key in {config_file}\n"
    assert json.loads(config_file.read_text()) == {"apiKey": KEY}
    assert (mode(config_file), mode(config_file.parent)) == (0o600, 0o700)
    assert [entry.name for entry in config_file.parent.iterdir()] == ["config.json"]


def test_two_first_commands(config_file: Path) -> None:
    """Of two commands that create the file at the same time, none undoes the change of the other."""
    both_read = Barrier(2)

    def read() -> dict[str, object]:
        content = read_config()
        with suppress(BrokenBarrierError):  # the other command cannot read before this one has written
            both_read.wait(0.5)
        return content

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda entry: store_in_config(read, entry), ({"apiKey": KEY}, {"apiUrl": "https://example.com"})))
    assert json.loads(config_file.read_text()) == {"apiKey": KEY, "apiUrl": "https://example.com"}


def test_writes_that_were_killed(run: Run, config_file: Path) -> None:
    """What a killed command left of a file with a secret is removed by the next command that changes the file."""
    killing = "import os, signal; os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)"
    command = [sys.executable, "-c", f"{killing}\n{CALL}"]
    database = config_file.with_name("my.db")
    for words in (["apiKey"], ["server", "secrets", "set", "a", "--database", str(database)]):
        killed = subprocess.run([*command, *words], input=KEY, capture_output=True, text=True, check=False)
        assert killed.returncode == -signal.SIGKILL
    assert len([file for file in config_file.parent.iterdir() if KEY in file.read_text()]) == 2
    others = {
        config_file.with_name(f"{config_file.name}{suffix}")
        for suffix in (".broken", ".20261127", ".draft", ".20261127.draft2")
    }
    for file in others:
        file.touch()
    assert run("logout").exit_code == 0
    assert run("server", "secrets", "set", "b", "--database", str(database), stdin="value").exit_code == 0
    assert set(config_file.parent.iterdir()) == {*others, Path(f"{database}.secrets")}


@pytest.mark.parametrize(
    ("words", "stdin"),
    [(["apiKey"], KEY + "\n"), (["apiKey", "--apiKey", KEY], None), (["apiKey", f" {KEY}\n"], None)],
    ids=["stdin", "option", "spaces"],
)
def test_key_from_elsewhere(run: Run, config_file: Path, words: list[str], stdin: str | None) -> None:
    """Without an argument, the key comes from the option or from standard input; spaces around it are removed."""
    assert run(*words, stdin=stdin).exit_code == 0
    assert json.loads(config_file.read_text()) == {"apiKey": KEY}


def test_two_keys(run: Run, config_file: Path) -> None:
    """If both the argument and the option have a key, neither is stored: one of them would be ignored."""
    refused = run("apiKey", KEY, "--api-key", "another-key")
    assert (refused.exit_code, "Got two API keys, KEY and --api-key. Pass one." in refused.stderr) == (2, True)
    assert not config_file.exists()


def test_other_entries_are_kept(run: Run, config_file: Path) -> None:
    """Other entries and a symbolic link are kept; a file that others can read becomes private."""
    config_file.parent.mkdir(mode=0o755)
    real = config_file.with_name("real.json")
    real.write_text('{"apiKey": "old", "team": "a"}')
    real.chmod(0o644)
    config_file.symlink_to(real)
    assert run("apiKey", KEY).exit_code == 0
    assert json.loads(real.read_text()) == {"apiKey": KEY, "team": "a"}
    assert (mode(real), mode(config_file.parent), config_file.is_symlink()) == (0o600, 0o755, True)


def test_stored_settings_are_used(run: Run, config_file: Path, server: LocalServer) -> None:
    """The stored API key and API URL are used by later commands, until `logout`."""
    assert run("apiKey", server.api_key, "--api-url", server.url).exit_code == 0
    assert run("deployments", "list").stdout == "No deployments found\n"
    assert run("logout").stderr == f"Removed the API key from {config_file}\n"
    assert run("deployments", "list").exit_code == ExitCode.AUTHENTICATION
    assert json.loads(config_file.read_text()) == {"apiUrl": server.url}


def test_logout(run: Run, config_file: Path) -> None:
    """`logout` removes the API key, and the file if nothing else is in it; a second `logout` changes nothing."""
    run("apiKey", KEY)
    assert run("logout").exit_code == 0
    assert not config_file.exists()
    again = run("logout")
    assert (again.exit_code, again.stderr) == (0, f"No API key in {config_file}\n")


@pytest.mark.parametrize("others", [{}, {"apiUrl": "https://example.com/graphql"}])
def test_logout_through_a_symbolic_link(run: Run, config_file: Path, tmp_path: Path, others: dict[str, str]) -> None:
    """`logout` removes the API key from the file that a symbolic link leads to; `apiKey` stores one there again."""
    target = tmp_path / "target.json"
    target.write_text(json.dumps({"apiKey": KEY, **others}))
    config_file.parent.mkdir()
    config_file.symlink_to(target)
    assert run("logout").stderr == f"Removed the API key from {config_file}\n"
    assert KEY not in (target.read_text() if target.exists() else "")
    assert target.exists() is bool(others)
    assert run("logout").stderr == f"No API key in {config_file}\n"
    assert run("apiKey", KEY).exit_code == 0
    assert json.loads(target.read_text()) == {"apiKey": KEY, **others}
    assert config_file.is_symlink()


@pytest.mark.parametrize("others", [{}, {"apiUrl": "https://example.com/graphql"}])
def test_logout_with_a_hard_link(run: Run, config_file: Path, tmp_path: Path, others: dict[str, str]) -> None:
    """If the file with the API key has another name, `logout` fails with a message that says how to find that."""
    config_file.parent.mkdir()
    config_file.write_text(json.dumps({"apiKey": KEY, **others}))
    (tmp_path / "other.json").hardlink_to(config_file)
    outcome = run("logout")
    assert outcome.exit_code != 0
    assert f"find / -xdev -inum {(tmp_path / 'other.json').stat().st_ino}" in outcome.stderr
    assert KEY not in (config_file.read_text() if config_file.exists() else "")
    assert run("logout").stderr == f"No API key in {config_file}\n"


def test_symbolic_link_to_itself(run: Run, config_file: Path) -> None:
    """A symbolic link that leads to itself is an error that names the file."""
    config_file.parent.mkdir()
    config_file.symlink_to(config_file)
    for words in (["apiKey", KEY], ["logout"], ["deployments", "list"]):
        shown = run(*words)
        assert (shown.exit_code, shown.stdout) == (ExitCode.USAGE, "")
        assert f"cannot read {config_file}: Too many levels of symbolic links" in shown.stderr


# Limits the memory of a command, so that one that reads without an end fails instead of taking all of it.
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2 * 10**9,) * 2)"


SET_REGISTRY = [
    "server",
    "--database",
    "{folder}/gradient.db",
    "registries",
    "set",
    "mine",
    "--url",
    "ghcr.io",
    "--username",
    "ada",
]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["logout"], "cannot read {path}: larger than 1 MB"),
        (["deployments", "list"], "cannot read {path}: larger than 1 MB"),
        (["apiKey"], "API key: standard input is too long"),
        (SET_REGISTRY, "Password: standard input is too long"),
        (["server", "--database", "{folder}/gradient.db", "--port", "0"], "{folder}/gradient.db.key: larger than 1 MB"),
    ],
)
def test_keys_without_an_end(config_file: Path, tmp_path: Path, words: list[str], message: str) -> None:
    """A configuration file, a key file or standard input without an end is an error."""
    config_file.parent.mkdir()
    if words not in (["apiKey"], SET_REGISTRY):
        config_file.symlink_to("/dev/zero")
    (tmp_path / "gradient.db.key").symlink_to("/dev/zero")
    command = [sys.executable, "-c", f"{LIMITED}; {CALL}", *(word.format(folder=tmp_path) for word in words)]
    with Path("/dev/zero").open("rb") as endless:
        ran = subprocess.run(command, stdin=endless, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert ran.returncode in {ExitCode.USAGE, ExitCode.FAILED}
    assert message.format(path=config_file, folder=tmp_path) in ran.stderr
    assert "internal error" not in ran.stderr


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
@pytest.mark.parametrize(("words", "name"), [(["apiKey"], "API key"), (SET_REGISTRY, "Password")])
@pytest.mark.usefixtures("config_file")
def test_secrets_that_are_not_utf8(tmp_path: Path, words: list[str], name: str, errors: str) -> None:
    """A secret on standard input that is not UTF-8 is an error in any locale, and is not stored."""
    ran = subprocess.run(
        [*GRADIENT, *(word.format(folder=tmp_path) for word in words)],
        input=b"schl\xfcssel",
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": f"utf-8:{errors}"},
    )
    assert (ran.returncode, ran.stderr.decode()) == (ExitCode.USAGE, f"Error: {name}: standard input is not UTF-8\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["", "two words", "schlüssel", "a\nb"])
def test_invalid_keys(run: Run, config_file: Path, key: str) -> None:
    """An invalid API key is an error that does not show it; nothing is written."""
    shown = run("apiKey", key, stdin="")
    assert (shown.exit_code, shown.stdout) == (ExitCode.USAGE, "")
    assert "invalid API key" in shown.stderr
    assert not key or key not in shown.stderr
    assert not config_file.exists()


INVALID_FILES = pytest.mark.parametrize("content", ["{", "[1]", '"apiKey"', "", "[" * 100_000, "\ud800"])


@INVALID_FILES
def test_invalid_file_is_not_changed(run: Run, config_file: Path, content: str) -> None:
    """The error for an invalid file names it, and the file does not change; `logout` does not claim success."""
    config_file.parent.mkdir()
    config_file.write_text(content, encoding="utf-8", errors="surrogatepass")
    for words in (["logout"], ["config", "show"], ["deployments", "list"]):
        shown = run(*words)
        assert (shown.exit_code, shown.stdout) == (ExitCode.USAGE, "")
        assert str(config_file) in shown.stderr
        assert "fix or remove it" in shown.stderr
        assert "Removed" not in shown.stderr
        assert ("no API key was removed, but the file may contain one" in shown.stderr) is (words == ["logout"])
    assert config_file.read_text(encoding="utf-8", errors="surrogatepass") == content


@INVALID_FILES
def test_invalid_file_is_renamed(run: Run, config_file: Path, content: str) -> None:
    """`apiKey` renames an invalid file, makes it private, and overwrites no other file."""
    config_file.parent.mkdir()
    for name in (f"{config_file}.broken", f"{config_file}.broken1"):
        config_file.write_text(content, encoding="utf-8", errors="surrogatepass")
        shown = run("apiKey", KEY)
        assert (shown.exit_code, shown.stdout) == (0, "")
        assert shown.stderr.splitlines() == [
            f"Renamed the invalid {config_file} to {name}",
            f"Stored the API key in {config_file}",
        ]
        assert Path(name).read_text(encoding="utf-8", errors="surrogatepass") == content
        assert mode(Path(name)) == 0o600
        assert json.loads(config_file.read_text()) == {"apiKey": KEY}


def test_no_home(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a home directory there is no configuration file; only writing it is an error."""

    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAPERSPACE_CONFIG_PATH")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert "does not exist" in run("config", "show").stdout
    assert run("logout").exit_code == 0
    refused = run("apiKey", KEY)
    assert (refused.exit_code, "PAPERSPACE_CONFIG_PATH" in refused.stderr) == (ExitCode.USAGE, True)
    assert list(tmp_path.iterdir()) == []


def test_directory_instead_of_file(run: Run, config_file: Path) -> None:
    """A directory with the name of the file is an error and is not renamed."""
    config_file.mkdir(parents=True)
    for words in (["apiKey", KEY], ["logout"]):
        assert "config.json: Is a directory" in run(*words).stderr
    assert [entry.name for entry in config_file.parent.iterdir()] == ["config.json"]


def test_environment_takes_precedence(run: Run, config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`apiKey` prints a note if a variable takes precedence over the key, or over the URL, that it has stored."""
    monkeypatch.setenv("PAPERSPACE_API_KEY", "another")
    monkeypatch.setenv("PAPERSPACE_API_URL", "https://other.example/graphql")
    assert "PAPERSPACE_API_KEY is set in this shell" in run("apiKey", KEY).stderr
    assert config_file.exists()
    stored = run("apiKey", KEY, "--api-url", "https://example.com/graphql")
    assert "PAPERSPACE_API_KEY and PAPERSPACE_API_URL are set in this shell" in stored.stderr


def test_show(run: Run, config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`config show` prints the source of each value, and masks the key and a password in the API URL."""
    lines = run("config", "show").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["Setting", "apiKey", "apiUrl", "configFile"]
    assert lines[1].split() == ["apiKey", "-", "not", "set"]
    assert lines[2].endswith("the default")
    assert lines[3].endswith("does not exist")
    run("apiKey", KEY)
    assert run("config", "show").stdout.splitlines()[1].split()[1:] == ["…cdef", "apiKey", "in", str(config_file)]
    monkeypatch.setenv("PAPERSPACE_API_KEY", "short-secret")
    monkeypatch.setenv("PAPERSPACE_API_HOST", "https://user:secret@example.com/graphql")
    shown = run("config", "show", "-o", "json")
    assert json.loads(shown.stdout) == {
        "apiKey": {"value": "…", "source": "PAPERSPACE_API_KEY"},
        "apiUrl": {"value": "https://(hidden)@example.com/graphql", "source": "PAPERSPACE_API_HOST"},
        "configFile": {"value": str(config_file), "source": "exists"},
    }
    shown = run("--apiKey", KEY, "config", "show", "--api-url", "http://localhost/", "-o", "yaml")
    assert yaml.safe_load(shown.stdout)["apiKey"] == {"value": "…cdef", "source": "--api-key"}
    assert yaml.safe_load(shown.stdout)["apiUrl"] == {"value": "http://localhost/", "source": "--api-url"}
