"""docs/self-hosting.md, on a machine with systemd."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.machine import Machine
from tests.engine.private_engine import PrivateEngine
from tests.engine.test_pages import make_nginx
from tools import TOP
from tools.docs.blocks import blocks_of, commands_of, updated

PAGE = (TOP / "docs/self-hosting.md").read_text(encoding="utf-8")
# The environment of the tests and its Python may be in a home, which units cannot read. So the machine has copies.
SOURCE, VENV, PYTHON = "/copies/source", "/copies/venv", "/copies/python"
PREPARE = f"""
ln -s {VENV} /opt/gradient
sed -i 's|{TOP}|{SOURCE}|g' {VENV}/lib/python3*/site-packages/*.pth
sed -i 's|^home = .*|home = {PYTHON}/bin|' {VENV}/pyvenv.cfg
ln -sf {PYTHON}/bin/{Path(sys.executable).resolve().name} {VENV}/bin/python
printf '#!/bin/sh\nLD_LIBRARY_PATH={PYTHON}/lib exec {VENV}/bin/python -m paperspace.gradient "$@"\n' > {VENV}/bin/gradient
cd {SOURCE}
"""

BLOCKS = [block for block in blocks_of(PAGE) if block.needs_engine]


@pytest.fixture
def machine(docker: PrivateEngine) -> Iterator[Machine]:
    """A machine after the first step of the page: it has the packages of Debian, the repository, and the package in a venv."""
    make_nginx(docker)
    folder = docker.folder / "machine"
    folder.mkdir()
    copies = {TOP: SOURCE, Path(sys.prefix): VENV, Path(sys.base_prefix): PYTHON}
    machine = Machine(folder, docker.socket, copies)
    try:
        machine.start()
        machine.run(PREPARE)
        yield machine
    finally:
        machine.stop()
        docker.remove_containers("gradient.server")
        for rule in ("-t raw -D PREROUTING ! -i lo -d 127.0.0.0/8", "-D DOCKER-USER -d 169.254.169.254"):
            subprocess.run(["iptables", *rule.split(), "-j", "DROP"], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def run(machine: Machine, command: str, shown: str) -> None:
    """Run a command, and compare its output with the page. The gateway starts just after the server, so its status may change."""
    end = time.monotonic() + (30 if "server status" in command else 0)
    while True:
        printed = machine.run(command, check=False).stdout
        if updated(shown, printed).rstrip() == shown.rstrip():
            return
        if time.monotonic() > end:
            journal = machine.run("journalctl --no-pager --lines 50 --identifier gradient", check=False).stdout
            raise AssertionError(f"$ {command}\n{printed}\nThe page:\n{shown}\nThe journal:\n{journal}")


def test_every_command(machine: Machine, docker: PrivateEngine) -> None:
    """All commands print what the page shows: TLS in front of a container, a backup and its restore, and the end."""
    for block in BLOCKS:
        if block.file:
            machine.run(f"printf %s {shlex.quote(block.text)} > {block.file}")
            continue
        for command, shown in commands_of(block.text):
            if "server backup" in command:  # the file of metrics exists after the first ten seconds
                machine.run("until [ -e /var/lib/gradient/gradient.db.metrics ]; do sleep 0.1; done")
            run(machine, command, shown)
    assert docker.docker("ps", "--all", "--quiet").stdout == ""
