"""The library in programs in which gevent replaces threads by greenlets."""

from __future__ import annotations

from tests.sync.test_environments import run_script

PATCH = """
import os, warnings
with warnings.catch_warnings(action="ignore"):  # gevent warns if modules have been imported before
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
