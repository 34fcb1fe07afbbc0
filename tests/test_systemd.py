"""The unit files in `deploy/systemd`."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from tools import TOP

from paperspace.gradient.cli.main import main

UNITS = sorted((TOP / "deploy/systemd").glob("*.service"))
PROGRAM = "/opt/gradient/bin/gradient"


def commands(unit: Path) -> list[str]:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # names have upper case
    parser.read(unit)
    return [parser["Service"]["ExecStart"]]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """`systemd-analyze verify` finds nothing wrong in the units. The program and the user are those of this machine."""
    assert len(UNITS) == 2
    for unit in UNITS:
        text = unit.read_text().replace(PROGRAM, "/bin/true").replace("User=gradient", "User=root")
        (tmp_path / unit.name).write_text(text.replace("SupplementaryGroups=docker", "SupplementaryGroups=root"))
    (tmp_path / "docker.service").write_text("[Service]\nExecStart=/bin/true\n")
    files = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "gradient" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


def test_commands_of_the_units() -> None:
    """Each unit runs a command that exists, with options that it has; both name the same database."""
    databases = set()
    for unit in UNITS:
        (command,) = commands(unit)
        program, *arguments = shlex.split(command.replace("$OPTIONS", "--port 8600"))
        assert program == PROGRAM
        parsed = CliRunner().invoke(main, [*arguments, "--help"], prog_name="gradient")
        assert parsed.exit_code == 0, parsed.output
        for option in (argument for argument in arguments if argument.startswith("--")):
            assert option in parsed.output
        databases.add(arguments[arguments.index("--database") + 1])
    assert databases == {"/var/lib/gradient/gradient.db"}
