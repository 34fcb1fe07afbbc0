"""The synchronous functions work wherever Python runs: scripts, running loops, threads, forked children."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.samples import SPEC

from paperspace.gradient import Client, deployments
from paperspace.gradient.aio import deployments as async_deployments

CREATE = f"""
from paperspace.gradient import deployments
created = deployments.create_deployment("n", "p", {SPEC!r})
"""


def run_script(code: str, environment: dict[str, str]) -> str:
    """What a script prints; it has to end well, and to print nothing on stderr, with every warning switched on."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_script(environment: dict[str, str]) -> None:
    """A plain script calls, and ends without a word and without closing anything."""
    assert run_script(CREATE + "print(len(deployments.list_deployments()))", environment) == "1\n"


def test_script_with_a_client_left_open(environment: dict[str, str]) -> None:
    """A client that nobody closes is no trouble at the end."""
    code = "from paperspace.gradient import Client\nclient = Client()\nprint(client.deployments.list_deployments())"
    assert run_script(code, environment) == "[]\n"


def test_script_with_several_loops(environment: dict[str, str]) -> None:
    """The async functions work in one `asyncio.run` after another, and nothing is left behind by any."""
    code = """
import asyncio
from paperspace.gradient.aio import deployments
for _ in range(3):
    print(asyncio.run(deployments.list_deployments()))
"""
    assert run_script(code, environment) == "[]\n[]\n[]\n"


def test_forked_child(environment: dict[str, str]) -> None:
    """A forked child calls after its parent has, and both go on calling, each on connections of its own."""
    code = (
        CREATE
        + """
import os, sys
child = os.fork()
for _ in range(20):
    assert deployments.get_deployment(created["id"])["name"] == "n"
if child == 0:
    sys.exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    )
    assert run_script(code, environment) == "7\n"


@pytest.mark.usefixtures("environment")
def test_inside_a_running_loop() -> None:
    """A synchronous call works inside a running loop, as in a notebook, beside an asynchronous one."""

    async def cell() -> tuple[int, int]:
        await async_deployments.create_deployment("n", "p", SPEC)
        return len(deployments.list_deployments()), len(await async_deployments.list_deployments())

    assert asyncio.run(cell()) == (1, 1)


def test_threads(client: Client) -> None:
    """16 threads share one client, and each gets the answers to its own questions."""
    ids = [client.deployments.create_deployment(f"n{number}", "p", SPEC)["id"] for number in range(16)]

    def ask(number: int) -> bool:
        return all(client.deployments.get_deployment(ids[number])["name"] == f"n{number}" for _ in range(20))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(16)))
