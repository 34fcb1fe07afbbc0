"""The library in programs in which gevent replaces threads by greenlets."""

from __future__ import annotations

import pytest
from tests.sync.test_environments import run_script

PATCH = """
import os, warnings
with warnings.catch_warnings(action="ignore"):  # gevent warns if modules have been imported before
    import gevent.event
    import gevent.monkey
    gevent.monkey.patch_all()

def count():
    return len(deployments.list_deployments(project_id="p"))

def create(name):
    deployments.create_deployment(name, "p", {"image": "nginx"})

def wait_for_all(*greenlets):
    gevent.joinall(greenlets, raise_error=True)
"""


def test_greenlets(environment: dict[str, str]) -> None:
    """Several greenlets can make calls at the same time, and so can a forked child."""
    code = """
from paperspace.gradient import deployments
wait_for_all(*(gevent.spawn(create, f"n{number}") for number in range(20)))
print(count(), flush=True)
child = os.fork()
print(count(), flush=True)
if child:
    os.waitpid(child, 0)
"""
    assert run_script(PATCH + code, environment) == "20\n20\n20\n"


@pytest.mark.parametrize("forks", [True, False])
def test_first_calls_of_greenlets_at_the_same_time(environment: dict[str, str], *, forks: bool) -> None:
    """Greenlets may make the first calls at the same time, also if the library was imported before gevent patches the process.

    They start one event loop. The workers of gunicorn are forked children of such a process, with `--preload`.
    """
    before = f"""
import os, signal
from paperspace.gradient import deployments
from paperspace.gradient._sync import loop_thread
if {forks}:
    print(len(deployments.list_deployments(project_id="p")), flush=True)
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os._exit(0)
loop_thread.run  # loads the module
signal.alarm(60)
"""
    code = """
greenlets = [gevent.spawn(count) for _ in range(5)]
wait_for_all(*greenlets)
print([greenlet.value for greenlet in greenlets], flush=True)
"""
    expected = "0\n" if forks else ""
    assert run_script(before + PATCH + code, environment) == f"{expected}[0, 0, 0, 0, 0]\n"


def test_another_loop_in_the_thread(environment: dict[str, str]) -> None:
    """While another greenlet runs an event loop, a first call is an error. It does not wait forever. The next one works."""
    code = """
import asyncio, signal
from paperspace.gradient import GradientError, deployments
signal.alarm(60)
ends = gevent.event.Event()

async def block():
    ends.wait()

other = gevent.spawn(asyncio.run, block())
gevent.sleep(0)
try:
    count()
except GradientError as error:
    print("greenlets" in str(error), flush=True)
ends.set()
other.get()
print(count(), flush=True)
"""
    assert run_script(PATCH + code, environment) == "True\n0\n"


def test_child_that_gevent_patches(environment: dict[str, str]) -> None:
    """A forked child that gevent patches can make calls, although its parent has made some before.

    The workers of gunicorn are such children, with `--preload`.
    """
    parent = """
import os, signal
from paperspace.gradient import deployments
print(len(deployments.list_deployments(project_id="p")), flush=True)
child = os.fork()
if child:
    os.waitpid(child, 0)
    os._exit(0)
signal.alarm(60)
"""
    code = """
create("before")
wait_for_all(gevent.spawn(create, "a"), gevent.spawn(create, "b"))
print(count(), flush=True)
os._exit(0)
"""
    assert run_script(parent + PATCH + code, environment) == "0\n3\n"
