"""`gradient server registries`, `gradient server instance-types` and `gradient server secrets`."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.cli.conftest import GRADIENT, Run

from paperspace.gradient.cli import server_registries, server_secrets
from paperspace.gradient.cli._settings_files import store_entry
from paperspace.gradient.server.docker import file_systems
from paperspace.gradient.server.docker.instance_types import HOSTED, InstanceType, read_instance_types
from paperspace.gradient.server.docker.registries import Registry, read_registries
from paperspace.gradient.server.secrets import Secret, read_secrets


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "gradient.db")


def test_registries(run: Run, database: str) -> None:
    """A registry is stored, listed without its password, replaced and deleted; only the owner can read the file."""
    file = Path(f"{database}.registries")
    options = ("--database", database)
    add = ("server", "registries", "set", "mine", "--username", "ada", *options, "--url")
    stored = run(*add, "https://ghcr.io", stdin="first secret\n")
    assert (stored.exit_code, stored.stdout) == (0, "")
    assert stored.stderr == f"Stored registry mine (ghcr.io) in {file}\n"
    run(*add, "https://index.docker.io/v1/", stdin="s3cret\n")
    assert read_registries(file) == {"mine": Registry("docker.io", "ada", "s3cret")}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    listed = run("server", "registries", "list", *options)
    assert listed.stdout == "Name  Host       User name\nmine  docker.io  ada\n"
    shown = json.loads(run("server", "--database", database, "registries", "list", "-o", "json").stdout)
    assert shown == [{"name": "mine", "host": "docker.io", "username": "ada"}]

    unknown = run("server", "registries", "delete", "other", *options)
    assert (unknown.exit_code, unknown.stderr) == (1, "Error: There is no registry other. Stored: mine.\n")
    assert run("server", "registries", "delete", "mine", *options).exit_code == 0
    assert read_registries(file) == {}


@pytest.mark.parametrize(
    ("module", "arguments"),
    [(server_secrets, ("secrets",)), (server_registries, ("registries", "--url", "ghcr.io", "--username", "ada"))],
)
def test_a_prompt_that_waits(
    run: Run, database: str, monkeypatch: pytest.MonkeyPatch, module: ModuleType, arguments: tuple[str, ...]
) -> None:
    """What another command stores while a command waits for its value is kept."""
    (kind, *options), file = arguments, ("--database", database)

    def store_another(_prompt: str) -> tuple[str, str]:
        monkeypatch.undo()
        assert run("server", kind, "set", "fast", *options, *file, stdin="value").exit_code == 0
        return "value", "standard input"

    monkeypatch.setattr(module, "read_secret", store_another)
    assert run("server", kind, "set", "slow", *options, *file).exit_code == 0
    assert sorted(json.loads(Path(f"{database}.{kind}").read_text())) == ["fast", "slow"]


def test_changes_at_the_same_time(database: str) -> None:
    """Of commands that store entries at the same time, none undoes the change of another."""
    file = Path(f"{database}.secrets")
    names = [f"name-{number}" for number in range(60)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: store_entry(read_secrets, file, name, Secret("value")), names))
    assert sorted(read_secrets(file)) == sorted(names)


@pytest.mark.parametrize(
    ("name", "url", "password", "message"),
    [
        ("mine", "https://", "secret", "The URL has no host."),
        ("mine", "ghcr.io", "", "No password: standard input is empty."),
        (" ", "ghcr.io", "secret", "A name must have visible characters only, and at least one."),
    ],
)
def test_invalid_registries(run: Run, database: str, name: str, url: str, password: str, message: str) -> None:
    """Invalid arguments are usage errors, and nothing is stored."""
    arguments = ["server", "registries", "set", name, "--url", url, "--username", "ada", "--database", database]
    refused = run(*arguments, stdin=password)
    assert refused.exit_code == 2
    assert message in refused.stderr
    assert not Path(f"{database}.registries").exists()


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (("instance-types", "set", "C2", option), number)
        for option in ("--cpus", "--memory")
        for number in ("nan", "inf", "0", "0.005")
    ]
    + [(("--database", ":memory:", "--drain-timeout"), number) for number in ("nan", "inf")],
)
def test_numbers_without_a_meaning(run: Run, command: tuple[str, ...], number: str) -> None:
    """A number must be finite, and a limit not below those of Docker: no container could be created, or it had no limit."""
    done = run("server", *command, number)
    assert (done.exit_code, command[-1] in done.stderr) == (2, True)


def test_models_of_a_file_system_that_does_not_respond(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server starts without waiting for it. A folder that does not exist is an error."""
    responds = threading.Event()
    monkeypatch.setattr(file_systems, "TIMEOUT", 0.1)
    stat = os.stat

    def wait(path: Any, **options: Any) -> os.stat_result:
        assert path != str(tmp_path) or responds.wait(20)
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", wait)
    try:
        done = run("server", "--models", str(tmp_path), "--drain-timeout", "nan")  # which is checked afterwards
    finally:
        responds.set()
    assert "Invalid value for '--drain-timeout'" in done.stderr
    monkeypatch.undo()
    missing = run("server", "--models", str(tmp_path / "missing"))
    assert missing.exit_code == 2
    assert f"Invalid value for '--models': Directory '{tmp_path}/missing' does not exist." in missing.stderr


def test_instance_types(run: Run, database: str) -> None:
    """Types of the file are listed with the built-in ones, replace those of the same name, and can be deleted."""
    file = Path(f"{database}.instance-types")
    options = ("--database", database)
    stored = run("server", "instance-types", "set", "C2", "--cpus", "0.5", "--memory", "2", "--device", "0", *options)
    assert stored.stderr == f"Stored instance type C2 (0.5 CPUs, 2 GiB, 1 GPU) in {file}\n"
    assert read_instance_types(file) == {**HOSTED, "C2": InstanceType(0.5, 2, 0, ("0",))}
    lines = run("server", "instance-types", "list", *options).stdout.splitlines()
    assert lines[0].split() == ["Name", "CPUs", "GiB", "GPUs", "Source"]
    assert lines[-1].split() == ["C2", "0.5", "2", "0", "file"]
    assert len(lines) == len(HOSTED) + 1
    entries = json.loads(run("server", "instance-types", "list", "-o", "json", *options).stdout)
    assert entries[-1] == {"name": "C2", "cpus": 0.5, "memory": 2.0, "gpus": 0, "devices": ["0"], "source": "file"}
    assert run("server", "instance-types", "delete", "C2", *options).exit_code == 0
    assert read_instance_types(file) == HOSTED
    unknown = run("server", "instance-types", "delete", "C2", *options)
    assert unknown.stderr == "Error: There is no stored instance type C2. Stored: none.\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--cpus", "0"), "0.0 is not in the range x>=0.01"),
        (("--gpus", "1", "--device", "0"), "Pass --gpus or --device, not both."),
        (("--database", ":memory:"), "This command needs a database file: a database in memory has no settings."),
    ],
)
def test_invalid_instance_types(run: Run, database: str, options: tuple[str, ...], message: str) -> None:
    """Invalid arguments are usage errors."""
    refused = run("server", "instance-types", "set", "x", "--database", database, *options)
    assert refused.exit_code == 2
    assert message in refused.stderr


def test_invalid_file(run: Run, database: str) -> None:
    """A file that cannot be read is named, and not replaced."""
    file = Path(f"{database}.registries")
    file.write_text("{")
    arguments = ["server", "registries", "set", "mine", "--url", "ghcr.io", "--username", "ada", "--database", database]
    refused = run(*arguments, stdin="secret")
    assert (refused.exit_code, refused.stderr) == (
        1,
        f"Error: The file {file} cannot be read: unexpected content. Correct or remove it.\n",
    )
    assert file.read_text() == "{"


def test_secrets(run: Run, database: str) -> None:
    """A secret is stored as it is, but for the line break at its end; only its name is shown, only the owner reads it."""
    file = Path(f"{database}.secrets")
    options = ("--database", database)
    stored = run("server", "secrets", "set", "git-token", *options, stdin=" line 1\nline 2 \n")
    assert (stored.exit_code, stored.stdout) == (0, "")
    assert stored.stderr == f"Stored secret git-token in {file}\n"
    assert read_secrets(file) == {"git-token": Secret(" line 1\nline 2 ")}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run("server", "secrets", "list", *options).stdout == "git-token\n"
    assert json.loads(run("server", "secrets", "list", "-o", "json", *options).stdout) == [{"name": "git-token"}]
    unknown = run("server", "secrets", "delete", "other", *options)
    assert (unknown.exit_code, unknown.stderr) == (1, "Error: There is no secret other. Stored: git-token.\n")
    assert run("server", "secrets", "delete", "git-token", *options).exit_code == 0
    assert read_secrets(file) == {}


def test_secrets_that_are_too_large_together(run: Run, database: str) -> None:
    """A secret that would make the file larger than what is read is refused. All stored secrets stay usable."""
    value, options = "é" * 100_000, ("--database", database)
    assert run("server", "secrets", "set", "first", *options, stdin=value).exit_code == 0
    refused = run("server", "secrets", "set", "second", *options, stdin=value)
    assert (refused.exit_code, refused.stderr) == (1, f"Error: {database}.secrets: it would be larger than 1 MB\n")
    assert read_secrets(Path(f"{database}.secrets")) == {"first": Secret(value)}
    assert run("server", "secrets", "delete", "first", *options).exit_code == 0


def test_secrets_are_on_the_disk(run: Run, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file gets its name after all of it was written to the disk: after a power failure, no stored secret is missing."""
    file, written = Path(f"{database}.secrets"), list[tuple[int, int, bool]]()

    def sync(descriptor: int) -> None:
        details = os.fstat(descriptor)
        written.append((details.st_ino, details.st_size, file.exists()))

    monkeypatch.setattr(os, "fsync", sync)
    assert run("server", "secrets", "set", "token", "--database", database, stdin="value").exit_code == 0
    assert written == [(file.stat().st_ino, file.stat().st_size, False)]
    assert list(tmp_path.iterdir()) == [file]


def test_secrets_into_a_closed_pipe(run: Run, database: str) -> None:
    """If the reader of the list is gone, the exit code is 1, as of every command that reads."""
    run("server", "secrets", "set", "token", "--database", database, stdin="value")
    reading, writing = os.pipe()
    os.close(reading)
    command = [*GRADIENT, "server", "secrets", "list", "--database", database]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("value", "message"), [("\n", "No value: standard input is empty."), ("a\0b", "U+0000"), ("", "No value")]
)
def test_invalid_secrets(run: Run, database: str, value: str, message: str) -> None:
    """An invalid value is a usage error that does not show it, and nothing is stored."""
    refused = run("server", "secrets", "set", "token", "--database", database, stdin=value)
    assert refused.exit_code == 2
    assert message in refused.stderr
    assert not Path(f"{database}.secrets").exists()
