"""The sync functions work in scripts, inside running event loops, in threads and in forked processes."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.samples import SPEC

from paperspace.gradient import Client, deployments
from paperspace.gradient.aio import deployments as async_deployments
from paperspace.gradient.deployments._api import AsyncDeployments

CREATE = f"""
from paperspace.gradient import deployments
created = deployments.create_deployment("n", "p", {SPEC!r})
"""


def run_script(code: str, environment: dict[str, str]) -> str:
    """The output of a script that must exit with 0 and print nothing to stderr, with warnings as errors."""
    command = [sys.executable, "-W", "error", "-c", code]
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert (completed.returncode, completed.stderr) == (0, "")
    return completed.stdout


def test_script(environment: dict[str, str]) -> None:
    """A script that calls the functions and closes nothing ends silently."""
    assert run_script(CREATE + "print(len(deployments.list_deployments()))", environment) == "1\n"


def test_script_with_a_client_left_open(environment: dict[str, str]) -> None:
    """A script that leaves a client open ends silently."""
    code = "from paperspace.gradient import Client\nclient = Client()\nprint(client.deployments.list_deployments())"
    assert run_script(code, environment) == "[]\n"


def test_script_with_several_loops(environment: dict[str, str]) -> None:
    """The async functions work in several event loops, one after another, without warnings about open resources."""
    code = """
import asyncio
from paperspace.gradient.aio import deployments
for _ in range(3):
    print(asyncio.run(deployments.list_deployments()))
"""
    assert run_script(code, environment) == "[]\n[]\n[]\n"


def test_forked_child(environment: dict[str, str]) -> None:
    """Parent and forked child both continue to call after the fork."""
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


# A finalizer, or a function of os.register_at_fork, that makes a call: `attempt` prints what becomes of it.
ATTEMPT = """
import gc, os, signal, sys, threading
from paperspace.gradient import Client, GradientError, deployments

def attempt():
    try:
        print(len(deployments.list_deployments()), flush=True)
    except GradientError as error:
        print(error, flush=True)

class Garbage:
    def __init__(self):
        self.cycle = self
    def __del__(self):
        attempt()
"""
CALL_LATER = (
    "a sync function was called in the middle of a fork, or of an import of the library, where it would block forever; "
    "call it later\n"
)


def test_finalizer_in_the_middle_of_an_import(environment: dict[str, str]) -> None:
    """A call by a finalizer, which runs while its thread imports a module of the library, is an error. It does not block.

    The next call works.
    """
    code = """
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "paperspace.gradient._core.session":
            sys.meta_path.remove(self)
            Garbage()
            gc.collect()

sys.meta_path.insert(0, Finder())
thread = threading.Thread(target=Client)
thread.start()
thread.join()
attempt()
"""
    assert run_script(ATTEMPT + code, environment) == CALL_LATER + "0\n"


@pytest.mark.parametrize("moment", ["before", "after_in_parent", "after_in_child"])
def test_call_in_the_middle_of_a_fork(environment: dict[str, str], moment: str) -> None:
    """A call by a function that was registered for forks before the library is an error. It does not block.

    The next call works, in the parent and in the child.
    """
    register = f"import os\nos.register_at_fork({moment}=lambda: attempt())\n"
    code = """
attempt()
child = os.fork()
if child:
    os.waitpid(child, 0)
else:
    signal.alarm(60)
attempt()
"""
    expected = "0\n" + CALL_LATER + "0\n0\n"
    assert run_script(register + ATTEMPT + code, environment) == expected


@pytest.mark.usefixtures("environment")
def test_inside_a_running_loop() -> None:
    """A sync call works inside a running event loop, as in a notebook, next to an async one."""

    async def cell() -> tuple[int, int]:
        await async_deployments.create_deployment("n", "p", SPEC)
        return len(deployments.list_deployments()), len(await async_deployments.list_deployments())

    assert asyncio.run(cell()) == (1, 1)


def test_threads(client: Client) -> None:
    """16 threads share one client, and each gets the responses to its own requests."""
    ids = [client.deployments.create_deployment(f"n{number}", "p", SPEC)["id"] for number in range(16)]

    def ask(number: int) -> bool:
        return all(client.deployments.get_deployment(ids[number])["name"] == f"n{number}" for _ in range(20))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(16)))


@pytest.mark.parametrize("name", deployments.__all__)
def test_both_versions_have_the_same_parameters(name: str) -> None:
    """Each function has a sync and an async version, with the same parameters, defaults and annotations."""
    versions = [getattr(deployments, name), getattr(async_deployments, name)]
    sync, asynchronous = (inspect.signature(version).parameters.values() for version in versions)
    assert list(sync) == list(asynchronous)  # in the same order


def test_same_names() -> None:
    """Both modules export the same names."""
    assert deployments.__all__ == async_deployments.__all__


@pytest.mark.parametrize(
    "name", ["iter_deployments", "iter_deployment_history", "watch_deployment", "get_deployment_logs"]
)
def test_signature_of_a_generator(name: str) -> None:
    """The signature of a sync version, as `help` shows it, is that of the async version, but returns a sync generator."""
    for functions, asynchronous in ((deployments, async_deployments), (deployments.Deployments, AsyncDeployments)):
        signature = inspect.signature(getattr(functions, name))
        expected = inspect.signature(getattr(asynchronous, name))
        assert signature.return_annotation == expected.return_annotation.replace("AsyncGenerator", "Generator")
        assert signature.return_annotation.startswith("Generator[")
        assert signature.parameters == expected.parameters
        assert getattr(functions, name).__annotations__["return"] == signature.return_annotation
