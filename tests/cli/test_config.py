"""`gradient apiKey`, `logout` and `config show`: what is kept, where, and who can read it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import yaml
from tests.cli.conftest import Run

from paperspace.gradient.cli._errors import ExitCode
from paperspace.gradient.server import LocalServer

KEY = "0123456789abcdef0123456789abcdef"


def mode(path: Path) -> int:
    """Who may do what with it."""
    return stat.S_IMODE(path.stat().st_mode)


def test_key_is_stored(run: Run, config_file: Path) -> None:
    """`apiKey` writes the file of the retired client, for its owner's eyes only, and its folder likewise."""
    shown = run("apiKey", KEY)
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert shown.stderr == f"Stored the API key in {config_file}\n"
    assert json.loads(config_file.read_text()) == {"apiKey": KEY}
    assert (mode(config_file), mode(config_file.parent)) == (0o600, 0o700)
    assert [entry.name for entry in config_file.parent.iterdir()] == ["config.json"]


@pytest.mark.parametrize(("words", "stdin"), [(["apiKey"], KEY + "\n"), (["apiKey", "--apiKey", KEY], None)])
def test_key_from_elsewhere(run: Run, config_file: Path, words: list[str], stdin: str | None) -> None:
    """Without an argument, the key is that of the option, or is read from standard input."""
    assert run(*words, stdin=stdin).exit_code == 0
    assert json.loads(config_file.read_text()) == {"apiKey": KEY}


def test_the_rest_is_kept(run: Run, config_file: Path) -> None:
    """Other entries of the file stay; a file that others could read is closed to them; a link stays a link."""
    config_file.parent.mkdir(mode=0o755)
    real = config_file.with_name("real.json")
    real.write_text('{"apiKey": "old", "team": "a"}')
    real.chmod(0o644)
    config_file.symlink_to(real)
    assert run("apiKey", KEY).exit_code == 0
    assert json.loads(real.read_text()) == {"apiKey": KEY, "team": "a"}
    assert (mode(real), mode(config_file.parent), config_file.is_symlink()) == (0o600, 0o755, True)


def test_stored_settings_are_used(run: Run, config_file: Path, server: LocalServer) -> None:
    """The key, and the address that was given with it, hold for the calls from then on, until `logout`."""
    assert run("apiKey", server.api_key, "--api-url", server.url).exit_code == 0
    assert run("deployments", "list").stdout == "No deployments found\n"
    assert run("logout").stderr == f"Removed the API key from {config_file}\n"
    assert run("deployments", "list").exit_code == ExitCode.AUTH
    assert json.loads(config_file.read_text()) == {"apiUrl": server.url}


def test_logout(run: Run, config_file: Path) -> None:
    """`logout` takes the key out, and the file away where nothing else is in it; twice is no harm."""
    run("apiKey", KEY)
    assert run("logout").exit_code == 0
    assert not config_file.exists()
    again = run("logout")
    assert (again.exit_code, again.stderr) == (0, f"There is no API key in {config_file}\n")


@pytest.mark.parametrize("key", ["", "two words", "schlüssel", "a\nb"])
def test_keys_that_cannot_be_right(run: Run, config_file: Path, key: str) -> None:
    """A key that cannot be right is refused, is not shown, and nothing is written."""
    shown = run("apiKey", key, stdin="")
    assert (shown.exit_code, shown.stdout) == (ExitCode.USAGE, "")
    assert "cannot be right" in shown.stderr
    assert not key or key not in shown.stderr
    assert not config_file.exists()


BROKEN = pytest.mark.parametrize("content", ["{", "[1]", '"apiKey"', "", "[" * 100_000, "\ud800"])


@BROKEN
def test_a_broken_file_is_left_alone(run: Run, config_file: Path, content: str) -> None:
    """A file that cannot be used is named, and stays as it is; `logout` does not say that the key is gone."""
    config_file.parent.mkdir()
    config_file.write_text(content, encoding="utf-8", errors="surrogatepass")
    for words in (["logout"], ["config", "show"], ["deployments", "list"]):
        shown = run(*words)
        assert (shown.exit_code, shown.stdout) == (ExitCode.USAGE, "")
        assert str(config_file) in shown.stderr
        assert "mend or remove it" in shown.stderr
        assert "Removed" not in shown.stderr
        assert ("an API key may be in it" in shown.stderr) is (words == ["logout"])
    assert config_file.read_text(encoding="utf-8", errors="surrogatepass") == content


@BROKEN
def test_a_broken_file_is_moved_aside(run: Run, config_file: Path, content: str) -> None:
    """`apiKey` keeps what it cannot use under another name, for its owner's eyes only, over nothing that is there."""
    config_file.parent.mkdir()
    for name in (f"{config_file}.broken", f"{config_file}.broken1"):
        config_file.write_text(content, encoding="utf-8", errors="surrogatepass")
        shown = run("apiKey", KEY)
        assert (shown.exit_code, shown.stdout) == (0, "")
        assert shown.stderr.splitlines() == [
            f"{config_file} could not be used: it is {name} now",
            f"Stored the API key in {config_file}",
        ]
        assert Path(name).read_text(encoding="utf-8", errors="surrogatepass") == content
        assert mode(Path(name)) == 0o600
        assert json.loads(config_file.read_text()) == {"apiKey": KEY}


def test_no_home(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a home folder there is no file and no key in it; only what would be kept is refused."""

    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAPERSPACE_CONFIG_PATH")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert "not there" in run("config", "show").stdout
    assert run("logout").exit_code == 0
    refused = run("apiKey", KEY)
    assert (refused.exit_code, "PAPERSPACE_CONFIG_PATH" in refused.stderr) == (ExitCode.USAGE, True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_place_of_the_file(run: Run, config_file: Path) -> None:
    """Where the file should be and a folder is, nothing is moved: it is no broken file."""
    config_file.mkdir(parents=True)
    for words in (["apiKey", KEY], ["logout"]):
        assert "cannot be read: Is a directory" in run(*words).stderr
    assert [entry.name for entry in config_file.parent.iterdir()] == ["config.json"]


def test_the_environment_goes_before(run: Run, config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Storing a key that the environment overrules says so."""
    monkeypatch.setenv("PAPERSPACE_API_KEY", "another")
    assert "PAPERSPACE_API_KEY is set in this shell" in run("apiKey", KEY).stderr
    assert config_file.exists()


def test_show(run: Run, config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`config show` says where each value comes from, and never shows a whole key, or a password in an address."""
    lines = run("config", "show").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["Setting", "apiKey", "apiUrl", "configFile"]
    assert lines[1].split() == ["apiKey", "-", "nowhere"]
    assert lines[2].endswith("the default")
    assert lines[3].endswith("not there")
    run("apiKey", KEY)
    assert run("config", "show").stdout.splitlines()[1].split()[1:] == ["…cdef", "apiKey", "in", str(config_file)]
    monkeypatch.setenv("PAPERSPACE_API_KEY", "short-secret")
    monkeypatch.setenv("PAPERSPACE_API_HOST", "https://user:secret@example.com/graphql")
    shown = run("config", "show", "-o", "json")
    assert json.loads(shown.stdout) == {
        "apiKey": {"value": "…", "source": "PAPERSPACE_API_KEY"},
        "apiUrl": {"value": "https://…@example.com/graphql", "source": "PAPERSPACE_API_HOST"},
        "configFile": {"value": str(config_file), "source": "there"},
    }
    given = run("--apiKey", KEY, "config", "show", "--api-url", "http://localhost/", "-o", "yaml")
    assert yaml.safe_load(given.stdout)["apiKey"] == {"value": "…cdef", "source": "--api-key"}
    assert yaml.safe_load(given.stdout)["apiUrl"] == {"value": "http://localhost/", "source": "--api-url"}
