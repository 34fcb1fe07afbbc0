"""The errors of a wait, with what explains them: log lines and events."""

from __future__ import annotations

from asyncio import timeout as time_limit
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from paperspace.gradient.deployments._events import last_warnings
from paperspace.gradient.deployments._logs import LogReader, sorted_lines
from paperspace.gradient.deployments._status import FAILED_STATES, failure_text, replica_counts, serving_text
from paperspace.gradient.errors import DeploymentFailedError, GradientError, NotFoundError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from paperspace.gradient._core.session import Session
    from paperspace.gradient.types import DeploymentEvent, DeploymentStatus, LogLine

# Log lines in the error of a failed deployment, and the number of instances that they are taken from.
FAILURE_LOG_LINES = 20
FAILURE_LOG_INSTANCES = 5


# Seconds for reading log lines, and for reading events, which only explain an error. This can be after the end of a wait.
EXPLANATION_TIMEOUT = 2.0


async def deployment_failed(session: Session, status: DeploymentStatus) -> DeploymentFailedError:
    """Return the error for a failed deployment, with the last log lines of its failed instances and its last warnings."""
    failed = [instance["name"] for instance in status["instances"] if instance["state"] in FAILED_STATES]
    lines: list[LogLine] = []
    async with _explaining(session) as limited:
        for name in filter(None, failed[:FAILURE_LOG_INSTANCES]):
            with suppress(NotFoundError):  # the instance has no log yet
                lines += await LogReader(limited, status["id"], name).last_lines(FAILURE_LOG_LINES)
    logs = sorted_lines(lines)[-FAILURE_LOG_LINES:]
    text = "".join(f"\n  {line['instanceName']}: {line['message']}" for line in logs)
    message = f"deployment {status['name']} ({status['id']}) {failure_text(status)}{text}"
    events: list[DeploymentEvent] = []
    async with _explaining(session) as limited:
        events = await last_warnings(limited, status["id"], status["specId"])
    known = [str(status["error"]), *(instance["message"] for instance in status["instances"] if instance["message"])]
    return DeploymentFailedError(_with_events(message, events, known), status=status, logs=logs, events=events)


async def wait_timeout(session: Session, id: str, timeout: float, status: DeploymentStatus | None) -> WaitTimeoutError:
    """Return the error for a deployment that is not ready in time, with its last warnings.

    Args:
        session: The session to read them with.
        id: The id of the deployment; or its name, if the id was not found in time.
        timeout: The seconds of the wait.
        status: The last status. None: it was never read.
    """
    if status is None:
        return WaitTimeoutError(f"deployment {id} is not ready after {timeout:g} s: no status was received")
    goal, progress = "ready", replica_counts(status)
    if not status["applied"]:
        progress += "; the newest spec is not applied yet"
    elif status["replicas"] == 0:
        goal, progress = "stopped", "instances still run"
    if (serving := status["serving"]) and goal == "ready":
        progress += f"; {serving_text(serving)}"
    message = f"deployment {status['name']} is not {goal} after {timeout:g} s: {progress}"
    events: list[DeploymentEvent] = []
    async with _explaining(session) as limited:
        events = await last_warnings(limited, id, status["specId"])
    return WaitTimeoutError(_with_events(message, events), status=status, events=events)


@asynccontextmanager
async def _explaining(session: Session) -> AsyncGenerator[Session]:
    """Run a block that only explains an error: it may fail, and takes at most `EXPLANATION_TIMEOUT` seconds.

    Yields:
        The session for its requests, which are not retried.
    """
    with suppress(GradientError, TimeoutError):
        async with time_limit(EXPLANATION_TIMEOUT):
            yield session.with_settings(max_retries=0)


def _with_events(text: str, events: Sequence[DeploymentEvent], known: Sequence[str] = ()) -> str:
    """Add events to a message, a line for each: where it happened, what, how often, and why unless that is known already."""
    for event in events:
        is_known = event["message"] in known
        if is_known and event["count"] == 1:
            continue
        what = event["reason"] if event["count"] == 1 else f"{event['reason']} ({event['count']} times)"
        parts = (event["instanceName"], what, None if is_known else event["message"])
        text += f"\n  {': '.join(filter(None, parts))}"
    return text
