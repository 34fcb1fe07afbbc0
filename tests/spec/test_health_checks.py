"""Health checks in a spec: what is valid, what two specs have in common, and which values are hidden."""

from __future__ import annotations

from typing import Any

import pytest

from paperspace.gradient._shared.secrets import hide_in_spec, without_secrets
from paperspace.gradient._shared.spec_rules import spec_problems
from paperspace.gradient._spec.checks import check_spec
from paperspace.gradient._spec.diff import difference

COMMAND = {"exec": {"command": ["cat", "/tmp/healthy"]}}
FULL_REQUEST: dict[str, Any] = {
    "path": "/health?full=1",
    "port": 9000,
    "host": "models.example.com",
    "headers": [{"name": "X-Check", "value": "s3cret-token"}],
    "initialDelaySeconds": 0,
    "periodSeconds": 1,
    "timeoutSeconds": 1,
    "failureThreshold": 1,
}


def spec(**checks: Any) -> dict[str, Any]:
    return {"image": "nginx", "healthChecks": checks}


@pytest.mark.parametrize(
    "checks",
    [
        {},
        {"readiness": None},
        {"startup": {"path": "/"}, "readiness": FULL_REQUEST, "liveness": COMMAND},
        {"readiness": {**dict.fromkeys(FULL_REQUEST), **COMMAND}},
        {"readiness": {"path": "/", "exec": None, "headers": []}},
        {"startup": {"path": "/", "failureThreshold": 2**31 - 1, "initialDelaySeconds": 2**31 - 1}},
    ],
)
def test_valid(checks: Any) -> None:
    """A check is a request or a command, and everything else has a default."""
    assert list(check_spec(spec(**checks))) == []


INVALID: list[tuple[Any, list[str]]] = [
    ({}, ["readiness.path: missing; expected a path such as '/health', or `exec`"]),
    ({"port": 80}, ["readiness.path: missing; expected a path such as '/health', or `exec`"]),
    (
        {"path": "/", **COMMAND},
        ["readiness.path: expected no value next to `exec`, got '/' (a check is a request or a command)"],
    ),
    (
        {"host": "h", "port": 1, **COMMAND},
        [
            "readiness.port: expected no value next to `exec`, got 1 (a check is a request or a command)",
            "readiness.host: expected no value next to `exec`, got 'h' (a check is a request or a command)",
        ],
    ),
    (
        {"path": "health"},
        [
            (
                "readiness.path: expected a path that begins with / and has no spaces, got 'health' "
                "(write characters that are not ASCII as %XX)"
            )
        ],
    ),
    (
        {"path": "/a b"},
        [
            (
                "readiness.path: expected a path that begins with / and has no spaces, got '/a b' "
                "(write characters that are not ASCII as %XX)"
            )
        ],
    ),
    ({"path": "/", "port": 0}, ["readiness.port: expected an integer from 1 to 65535, got 0"]),
    ({"path": "/", "host": ""}, ["readiness.host: expected a host such as 'models.example.com', got ''"]),
    (
        {"path": "/", "host": "a\r\nX: b"},
        ["readiness.host: expected a host such as 'models.example.com', got 'a\\r\\nX: b'"],
    ),
    (
        {"path": "/", "headers": [{"name": "Authorization: s3cret", "value": ""}]},
        ["readiness.headers[0].name: expected the name of a header, got 'Authorization:'"],
    ),
    (
        {"path": "/", "headers": [{"name": "a", "value": "b\r\nc"}]},
        ["readiness.headers[0].value: expected no control characters, got a string with U+000D"],
    ),
    ({"path": "/", "headers": [{"name": "a"}]}, ["readiness.headers[0].value: missing; expected a string"]),
    (
        {
            "path": "/" + "a" * 8191,
            "host": "h" * 100,
            "headers": [{"name": "b", "value": "s" * 8091}, {"name": "c", "value": ""}],
        },
        ["readiness: expected path, host and headers with at most 16384 characters together, got 16385 characters"],
    ),
    ({"exec": {}}, ["readiness.exec.command: missing; expected a program and its arguments"]),
    ({"exec": {"command": []}}, ["readiness.exec.command: expected a program and its arguments, got []"]),
    (
        {"exec": {"command": ["a\0"]}},
        ["readiness.exec.command[0]: expected no control characters, got a string with U+0000"],
    ),
    (
        {"path": "/", "periodSeconds": 0, "timeoutSeconds": 0, "failureThreshold": 0, "initialDelaySeconds": -1},
        [
            "readiness.initialDelaySeconds: expected an integer, 0 or more, got -1",
            "readiness.periodSeconds: expected an integer, 1 or more, got 0",
            "readiness.timeoutSeconds: expected an integer, 1 or more, got 0",
            "readiness.failureThreshold: expected an integer, 1 or more, got 0",
        ],
    ),
    ({"path": "/", "periodSeconds": 0.5}, ["readiness.periodSeconds: expected an integer, got 0.5"]),
    (
        {"path": "/", "httpGet": {}},
        ["readiness.httpGet: unknown field (write its `path` and `port` directly into the check)"],
    ),
    (
        {"path": "/", "successThreshold": 1},
        ["readiness.successThreshold: unknown field (remove it; one success is enough)"],
    ),
    ({"path": "/", "period": 5}, ["readiness.period: unknown field (did you mean 'periodSeconds'?)"]),
]


@pytest.mark.parametrize(("check", "messages"), INVALID)
def test_invalid(check: Any, messages: list[str]) -> None:
    """Each problem is reported once, with its path; the value of a header is not shown."""
    found = [problem.describe(root=2) for problem in check_spec(spec(readiness=check))]
    assert found == messages


def test_each_check_is_validated() -> None:
    """The three checks have the same rules, in the client and in the server."""
    names = ["startup", "readiness", "liveness"]
    problems = list(spec_problems(spec(**{name: {"path": "x"} for name in names})))
    assert [problem.path for problem in problems] == [("spec", "healthChecks", name, "path") for name in names]


def test_defaults_make_no_difference() -> None:
    """A spec that writes the defaults means the same as one that omits them; the default port is that of the spec."""
    short = {**spec(readiness={"path": "/"}, liveness=COMMAND), "port": 8080}
    defaults = {"initialDelaySeconds": 0, "periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3}
    written = spec(readiness={"path": "/", "port": 8080, **defaults}, liveness={**COMMAND, **defaults}, startup=None)
    assert difference(short, {**written, "port": 8080})["changes"] == []
    assert difference({"image": "nginx"}, spec())["changes"] == []


def test_differences() -> None:
    """Each field of a check has its path; a change of a header is shown without its value."""
    before = spec(readiness=FULL_REQUEST)
    after = spec(
        readiness={**FULL_REQUEST, "periodSeconds": 5, "headers": [{"name": "X-Check", "value": "another-token"}]}
    )
    assert difference(before, after)["text"].splitlines() == [
        "~ healthChecks.readiness.headers.X-Check: (hidden), changed",
        "~ healthChecks.readiness.periodSeconds: 1 -> 5",
    ]
    shown = difference(before, after, show_secrets=True)["text"].splitlines()
    assert shown[0] == "~ healthChecks.readiness.headers.X-Check: 's3cret-token' -> 'another-token'"
    twice = [{"name": "A", "value": "s3cret-1"}, {"name": "A", "value": "s3cret-2"}]
    assert "s3cret" not in difference(None, spec(readiness={"path": "/", "headers": twice}))["text"]


def test_values_of_headers_are_hidden() -> None:
    """Copies for output, and messages of a server, do not have them."""
    whole = spec(readiness=FULL_REQUEST)
    assert "s3cret-token" not in str(hide_in_spec(whole))
    assert hide_in_spec(whole, show_secrets=True) == whole
    assert without_secrets("got s3cret-token", {"input": {"spec": whole}}) == "got (hidden)"
