"""Waits, logs and events that are followed poll quickly at first, then more slowly, as far as the client allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.samples import SPEC

from paperspace.gradient import Client
from paperspace.gradient.deployments import Deployments, _watch
from paperspace.gradient.pytest_plugin import GradientServer
from paperspace.gradient.server import LocalServer

LIMIT = 12  # pauses


class EnoughPausesError(Exception):
    """Ends what polls."""


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between polls. None takes any time, and the last one raises an error."""
    recorded: list[float] = []

    async def sleep(seconds: float) -> None:
        recorded.append(seconds)
        if len(recorded) == LIMIT:
            raise EnoughPausesError

    monkeypatch.setattr(_watch, "sleep", sleep)
    return recorded


def growing(maximum: float) -> list[float]:
    """Each pause is half as long again as the one before."""
    return [min(0.25 * 1.5**number, maximum) for number in range(LIMIT)]


def steady(maximum: float) -> list[float]:
    """All pauses are short, as each poll of a log is one small request."""
    return [min(0.25, maximum), *[min(0.3, maximum)] * (LIMIT - 1)]


FOLLOWED: list[tuple[Callable[[Deployments, str], Iterator[Any]], Callable[[float], list[float]]]] = [
    (lambda deployments, id_: deployments.watch_deployment(id_), growing),
    (lambda deployments, id_: deployments.get_deployment_logs(id_, follow=True), steady),
    (lambda deployments, id_: deployments._follow_deployment_events(id_, None), growing),
]


@pytest.mark.parametrize("maximum", [None, 1.0, 0.01])
@pytest.mark.parametrize(("follow", "expected"), FOLLOWED, ids=["watch", "logs", "events"])
def test_pauses(
    manual_server: LocalServer, pauses: list[float], follow: Any, expected: Any, maximum: float | None
) -> None:
    """The pauses grow to `max_poll_interval`, by default to 5 seconds, and are never longer."""
    options: Any = {"max_poll_interval": maximum} if maximum else {}
    with Client(manual_server.api_key, manual_server.url, **options) as client:
        created = client.deployments.create_deployment("n", "p", SPEC)
        with pytest.raises(EnoughPausesError):
            list(follow(client.deployments, created["id"]))
    assert pauses == pytest.approx(expected(maximum or 5.0))


def test_pauses_in_tests_are_short(gradient_server: GradientServer, pauses: list[float]) -> None:
    """With the fixture of the pytest plugin, a client that a test creates polls as quickly as an instance starts."""
    gradient_server.stay_pending("n")
    with Client(gradient_server.api_key, gradient_server.url) as client, pytest.raises(EnoughPausesError):
        client.deployments.create_deployment("n", "p", SPEC, wait=True)
    assert max(pauses) <= 0.05
