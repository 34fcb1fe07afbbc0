"""Health checks: those of a spec, and what their results so far mean. Pure functions, without a clock or a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from paperspace.gradient._shared.spec_rules import CHECK_DEFAULTS, DEFAULT_PORT

if TYPE_CHECKING:
    from collections.abc import Mapping


class Request(NamedTuple):
    """An HTTP request to the container."""

    path: str
    port: int
    """Of the container."""
    host: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Command(NamedTuple):
    """A command in the container."""

    arguments: tuple[str, ...]


class Check(NamedTuple):
    """One check of a spec, with its defaults."""

    name: str
    """`startup`, `readiness` or `liveness`."""
    action: Request | Command
    initial_delay: int
    """Seconds between the start of the container and the first attempt."""
    period: int
    """Seconds between two attempts."""
    timeout: int
    """Seconds that an attempt may take."""
    threshold: int
    """The number of failures in a row after which the check has failed."""


class Checks(NamedTuple):
    """The checks of a spec."""

    startup: Check | None = None
    readiness: Check | None = None
    liveness: Check | None = None

    @property
    def continue_when_ready(self) -> bool:
        """Whether there is something to check while the container serves."""
        return self.readiness is not None or self.liveness is not None

    @property
    def start_time(self) -> int:
        """The seconds after its start that a container may take before it can pass the other checks, as the spec says."""
        delay = self.readiness.initial_delay if self.readiness else 0
        if self.startup:
            delay = max(delay, self.startup.initial_delay + self.startup.threshold * self.startup.period)
        return delay


NO_CHECKS = Checks()


def checks_of(spec: Mapping[str, Any]) -> Checks:
    """Return the checks of a spec."""
    port = spec.get("port")
    checks = spec.get("healthChecks") or {}
    return Checks(
        **{name: _check(name, checks.get(name), DEFAULT_PORT if port is None else port) for name in Checks._fields}
    )


def ports_of(spec: Mapping[str, Any]) -> set[int]:
    """Return the ports of the container that the checks of a spec connect to."""
    actions = [check.action for check in checks_of(spec) if check]
    return {action.port for action in actions if isinstance(action, Request)}


def _check(name: str, check: Mapping[str, Any] | None, port: int) -> Check | None:
    if check is None:
        return None
    numbers = {
        field: default if check.get(field) is None else check[field] for field, default in CHECK_DEFAULTS.items()
    }
    return Check(
        name,
        _action(check, port),
        numbers["initialDelaySeconds"],
        numbers["periodSeconds"],
        numbers["timeoutSeconds"],
        numbers["failureThreshold"],
    )


def _action(check: Mapping[str, Any], port: int) -> Request | Command:
    if check.get("exec") is not None:
        return Command(tuple(check["exec"]["command"]))
    headers = tuple((header["name"], header["value"]) for header in check.get("headers") or ())
    return Request(check["path"], port if check.get("port") is None else check["port"], check.get("host"), headers)


class Result(NamedTuple):
    """The result of one attempt of a check."""

    passed: bool | None
    """None: this is unknown, because the engine did not run the command."""
    text: str
    """What was seen, such as "GET /health returned 503"."""


class Health(NamedTuple):
    """What the results so far mean for a container."""

    started: bool
    """Whether the startup check has passed, or there is none."""
    ready: bool = False
    """Whether it can get requests."""
    alive: bool = True
    """Whether it can run on. If not, it is restarted."""
    failures: Mapping[str, int] = {}
    """The failures in a row of each check, by its name."""
    message: str = ""
    """Why it is not ready, or not alive, any more."""


def after(health: Health, check: Check, result: Result) -> Health:
    """Return what the results mean after one more."""
    failures = 0 if result.passed else health.failures.get(check.name, 0) + 1
    health = health._replace(failures={**health.failures, check.name: failures})
    match check.name:
        case "startup" if result.passed:
            return health._replace(started=True)
        case "readiness" if result.passed:
            return health._replace(ready=True)
    if failures < check.threshold:
        return health
    message = f"{check.name}: {result.text} ({check.threshold} of {check.threshold} failures)"
    if check.name == "readiness":
        return health._replace(ready=False, message=message)
    return health._replace(alive=False, message=message)
