"""When the checks of a container run, and what is reported: with a clock that jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING

import pytest

from paperspace.gradient.server.controller.checks import Check, Checks, Health, Request, Result
from paperspace.gradient.server.controller.monitor import Before, Monitor

if TYPE_CHECKING:
    from collections.abc import Callable

    Script = Callable[[str, float], bool | None]


class _JumpingSelector(selectors.SelectSelector):
    """Adds the time that it would wait to a clock, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            assert timeout is not None, "nothing is left to wait for"
            self.now += timeout
        return events


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop with that clock."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class Recorder:
    """A container whose results are scripted; records what is reported, and when."""

    def __init__(self, script: Script, durations: dict[str, float], responds_after: float) -> None:
        self._script = script
        self._durations = durations
        self._responds_after = responds_after
        self.attempts: dict[str, list[float]] = {}
        self.changes: list[tuple[float, str]] = []
        self.reasons: list[str] = []

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def attempt(self, check: Check) -> Result | None:
        start = self._now()
        self.attempts.setdefault(check.name, []).append(start)
        await asyncio.sleep(self._durations.get(check.name, 0.01))
        passed = self._script(check.name, start)
        return None if passed is None else Result(passed, f"GET / returned {200 if passed else 503}")

    async def respond(self) -> None:
        await asyncio.sleep(self._responds_after)

    def changed(self, health: Health) -> None:
        state = "ready" if health.ready else health.message
        self.changes.append((self._now(), state if health.alive else f"dead: {health.message}"))

    def waiting(self, reason: str) -> None:
        self.reasons.append(reason)


def check(name: str, period: int = 10, threshold: int = 3, delay: int = 0) -> Check:
    return Check(name, Request("/", 80), delay, period, 1, threshold)


STARTED_NOW = Before(0.0, ready=False)


def run(
    checks: Checks,
    script: Script,
    seconds: float,
    *,
    before: Before = STARTED_NOW,
    durations: dict[str, float] | None = None,
    responds_after: float = 0.0,
) -> Recorder:
    """Run the checks for a while, or until they end."""
    recorder = Recorder(script, durations or {}, responds_after)

    async def main() -> None:
        try:
            async with asyncio.timeout(seconds):
                await Monitor(checks, recorder, before).run()
        except TimeoutError:
            pass

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(main())
    return recorder


def always(_name: str, _at: float) -> bool:
    return True


STARTUP = Checks(check("startup", 10, 12), check("readiness", 5), check("liveness"))


def test_a_start_of_two_minutes() -> None:
    """With 12 failures of 10 seconds, a start of two minutes passes, and nothing else is checked before."""
    recorder = run(STARTUP, lambda _, at: at >= 119, 130)
    assert [state for _, state in recorder.changes] == ["ready"]
    assert 119 <= recorder.changes[0][0] < 121
    assert min(recorder.attempts["readiness"] + recorder.attempts["liveness"]) >= 119
    assert set(recorder.reasons) == {"startup: GET / returned 503."}


def test_a_start_that_is_too_long() -> None:
    """A container that does not pass in this time is restarted, not earlier; then the checks end."""
    recorder = run(STARTUP, lambda _, at: at >= 122, 500)
    [(at, state)] = recorder.changes
    assert state == "dead: startup: GET / returned 503 (12 of 12 failures)"
    assert 120 <= at < 122
    assert set(recorder.attempts) == {"startup"}


def test_a_start_during_an_outage() -> None:
    """After an outage of the engine, in which no result is known, failures count once in a period, as before it."""
    checks = Checks(check("startup", 10, 3))
    recorder = run(checks, lambda _, at: None if at < 600 else False, 1000)
    [(at, state)] = recorder.changes
    assert state == "dead: startup: GET / returned 503 (3 of 3 failures)"
    assert 620 <= at < 623


def test_ready_soon() -> None:
    """A container that becomes ready is ready within a second, whatever the period; then the period counts."""
    recorder = run(Checks(readiness=check("readiness", 60)), lambda _, at: at >= 3.3, 300)
    assert [state for _, state in recorder.changes] == ["ready"]
    ready_at = recorder.changes[0][0]
    assert 3.3 <= ready_at < 4.4
    later = [at for at in recorder.attempts["readiness"] if at > ready_at]
    assert len(later) == 4
    assert set(recorder.reasons) == {"readiness: GET / returned 503."}


def test_readiness_fails_and_recovers() -> None:
    """It is reported after three failures, and again when it passes; the container is not restarted."""
    recorder = run(Checks(readiness=check("readiness", 5)), lambda _, at: not 20 < at < 100, 200)
    (_, first), (failed_at, failure), (recovered_at, second) = recorder.changes
    assert (first, failure, second) == ("ready", "readiness: GET / returned 503 (3 of 3 failures)", "ready")
    assert 30 < failed_at < 20 + 3 * 5 + 1
    assert 100 <= recovered_at < 106


def test_two_failures_do_not_count() -> None:
    """Fewer failures in a row than the threshold change nothing."""
    failing = Checks(readiness=check("readiness"), liveness=check("liveness"))
    recorder = run(failing, lambda _, at: at < 15 or round(at / 10) % 3 == 0, 300)
    assert [state for _, state in recorder.changes] == ["ready"]
    assert len(recorder.attempts["liveness"]) == 30


def test_liveness_fails() -> None:
    """A failed liveness check ends all checks: the container is restarted."""
    script: Script = lambda name, at: name != "liveness" or at < 25  # noqa: E731
    checks = Checks(readiness=check("readiness", 1), liveness=check("liveness"))
    recorder = run(checks, script, 500, durations={"liveness": 0.3})
    assert recorder.changes[-1][1] == "dead: liveness: GET / returned 503 (3 of 3 failures)"
    ended_at = recorder.changes[-1][0]
    assert 50 <= ended_at < 51
    assert max(recorder.attempts["readiness"]) <= ended_at


def test_without_a_readiness_check() -> None:
    """A container is ready when it responds, after its startup check; without other checks, nothing is left to do."""
    recorder = run(Checks(startup=check("startup")), lambda _, at: at >= 5, 100, responds_after=2)
    assert [state for _, state in recorder.changes] == ["ready"]
    assert recorder.changes[0][0] >= 7
    recorder = run(Checks(liveness=check("liveness")), always, 100)
    assert [state for _, state in recorder.changes] == ["ready"]
    assert len(recorder.attempts["liveness"]) == 10


def test_unknown_results() -> None:
    """Attempts without a result are neither failures nor successes: the engine may be away."""
    checks = Checks(readiness=check("readiness"), liveness=check("liveness"))
    recorder = run(checks, lambda _, at: None if at > 5 else True, 500)
    assert [state for _, state in recorder.changes] == ["ready"]
    recorder = run(checks, lambda name, at: None if round(at / 10) % 2 else name == "readiness", 500)
    assert recorder.changes[-1][1].startswith("dead: liveness")
    assert 60 > recorder.changes[-1][0] >= 40


def test_a_slow_check_delays_no_other() -> None:
    """Checks of one container run side by side."""
    checks = Checks(readiness=check("readiness", 1), liveness=check("liveness", 1))
    recorder = run(checks, always, 100, durations={"liveness": 20})
    assert len(recorder.attempts["liveness"]) == 5
    assert len(recorder.attempts["readiness"]) >= 99


@pytest.mark.parametrize(("age", "first"), [(0, 30), (12, 18), (100, 0)])
def test_initial_delay(age: int, first: int) -> None:
    """The delay begins with the container, also if the server was started later."""
    recorder = run(Checks(liveness=check("liveness", delay=30)), always, 50, before=Before(age, ready=False))
    assert recorder.attempts["liveness"][0] == pytest.approx(first)


def test_after_a_restart_of_the_server() -> None:
    """A ready container stays ready; its checks go on at some time within a period, without the startup check."""
    starts = []
    for _ in range(20):
        recorder = run(STARTUP, lambda _, at: at < 50, 100, before=Before(1000.0, ready=True))
        assert "startup" not in recorder.attempts
        assert recorder.changes[0][1] == "readiness: GET / returned 503 (3 of 3 failures)"
        starts.append(recorder.attempts["readiness"][0])
    assert 0 <= min(starts) < max(starts) <= 5
