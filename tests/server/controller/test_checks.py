"""The rule of health checks, as tables: what a spec asks for, and what the results so far mean."""

from __future__ import annotations

from typing import Any

import pytest

from paperspace.gradient.server.controller.checks import (
    NO_CHECKS,
    Check,
    Checks,
    Command,
    Health,
    Request,
    Result,
    after,
    checks_of,
)
from paperspace.gradient.server.controller.workload import template_of, workload_of

PASSED, FAILED = Result(True, "GET / returned 200"), Result(False, "GET / returned 503")


def check(name: str, threshold: int = 3) -> Check:
    return Check(name, Request("/", 80), 0, 10, 1, threshold)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, NO_CHECKS),
        ({"healthChecks": None}, NO_CHECKS),
        ({"healthChecks": {"readiness": None}}, NO_CHECKS),
        (
            {"healthChecks": {"readiness": {"path": "/"}}},
            Checks(readiness=Check("readiness", Request("/", 80), 0, 10, 1, 3)),
        ),
        (
            {"port": 8080, "healthChecks": {"startup": {"path": "/", "periodSeconds": None, "failureThreshold": 12}}},
            Checks(startup=Check("startup", Request("/", 8080), 0, 10, 1, 12)),
        ),
        (
            {
                "healthChecks": {
                    "liveness": {
                        "path": "/a?b",
                        "port": 9000,
                        "host": "h",
                        "headers": [{"name": "A", "value": "b"}],
                        "initialDelaySeconds": 1,
                        "periodSeconds": 2,
                        "timeoutSeconds": 3,
                        "failureThreshold": 4,
                    }
                }
            },
            Checks(liveness=Check("liveness", Request("/a?b", 9000, "h", (("A", "b"),)), 1, 2, 3, 4)),
        ),
        (
            {"healthChecks": {"liveness": {"exec": {"command": ["cat", "x"]}}}},
            Checks(liveness=Check("liveness", Command(("cat", "x")), 0, 10, 1, 3)),
        ),
    ],
)
def test_checks_of_a_spec(spec: Any, expected: Checks) -> None:
    """What a spec omits has its default; the port is that of the spec."""
    assert checks_of(spec) == expected


# A check, the results of its attempts (+: passed, -: failed), and after each of them: not started yet, starting, ready, dead.
RESULTS = {
    "startup": [("+", "s"), ("--+", "..s"), ("---", "..x")],
    "readiness": [
        ("+", "r"),
        ("+--+", "rrrr"),
        ("+---", "rrr."),
        ("+---+", "rrr.r"),
        ("+--+--+", "rrrrrrr"),
        ("---", "..."),
    ],
    "liveness": [("+", "."), ("--+--+", "......"), ("---", "..x"), ("+---", "...x")],
}


@pytest.mark.parametrize(
    ("name", "results", "states"), [(name, *case) for name, cases in RESULTS.items() for case in cases]
)
def test_results(name: str, results: str, states: str) -> None:
    """A check fails after three failures in a row; only readiness recovers."""
    health, found = Health(started=name != "startup"), ""
    for result in results:
        health = after(health, check(name), PASSED if result == "+" else FAILED)
        started = "s" if name == "startup" and health.started else "."
        found += "x" if not health.alive else "r" if health.ready else started
    assert found == states


def test_messages() -> None:
    """The message says what the check saw, and how often."""
    health = Health(started=True, ready=True)
    for _ in range(5):
        health = after(health, check("readiness"), FAILED)
    assert health.message == "readiness: GET / returned 503 (3 of 3 failures)"
    health = after(health, check("liveness", threshold=1), Result(False, "cat exited with code 1"))
    assert health.message == "liveness: cat exited with code 1 (1 of 1 failures)"


def test_checks_are_counted_apart() -> None:
    """Failures of one check are not those of another."""
    health = Health(started=True, ready=True)
    for name in ("readiness", "liveness", "readiness", "liveness"):
        health = after(health, check(name), FAILED)
    assert (health.ready, health.alive) == (True, True)


def test_time_to_start() -> None:
    """The startup check and the delay of the readiness check give a container time."""
    startup, readiness = (
        check("startup")._replace(threshold=12, initial_delay=5),
        check("readiness")._replace(initial_delay=30),
    )
    assert NO_CHECKS.start_time == 0
    assert Checks(startup=startup, readiness=readiness).start_time == 125
    assert Checks(readiness=readiness, liveness=check("liveness")).start_time == 30


def test_checks_need_no_new_container() -> None:
    """A change of the checks keeps the template, except if a check needs a port that is not published."""
    spec = {"image": "nginx"}
    checked = {**spec, "healthChecks": {"readiness": {"path": "/"}, "liveness": {"path": "/", "port": 80}}}
    other_port = {
        **spec,
        "healthChecks": {"liveness": {"path": "/", "port": 9000}, "startup": {"path": "/", "port": 9000}},
    }
    assert template_of(checked) == template_of(spec)
    assert (workload_of(checked).check_ports, workload_of(other_port).check_ports) == ((), (9000,))
    assert template_of(other_port) != template_of(spec)
