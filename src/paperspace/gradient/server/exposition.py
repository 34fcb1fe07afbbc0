"""The metrics of a server in the text format of Prometheus.

With the library prometheus-client, the text takes six times as long.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient.server import usage
from paperspace.gradient.server.controller.recording import usage_of
from paperspace.gradient.server.http import request_counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from paperspace.gradient.server.metrics import Controlled, Snapshot
    from paperspace.gradient.server.storage.summary import DeploymentState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class _Metric(NamedTuple):
    name: str
    type: str
    help: str
    samples: list[str]

    def add(self, labels: str, value: float) -> None:
        """Add a sample; the labels are those of `_labels`."""
        self.samples.append(f"{self.name}{labels} {value}")

    def add_histogram(self, labels: str, bounds: Sequence[float], counts: Sequence[int], total: float) -> None:
        """Add a histogram.

        Args:
            labels: Its labels, at least one.
            bounds: The upper bounds of the ranges.
            counts: How many values there are in each range, and above the last one.
            total: The sum of the values.
        """
        bucket = f"{self.name}_bucket{labels[:-1]}"
        cumulative = [*accumulate(counts)]
        self.samples.extend(
            f'{bucket},le="{bound}"}} {number}' for bound, number in zip((*bounds, "+Inf"), cumulative, strict=True)
        )
        self.samples.append(f"{self.name}_sum{labels} {total}")
        self.samples.append(f"{self.name}_count{labels} {cumulative[-1]}")


def text(snapshot: Snapshot) -> bytes:
    """Return the metrics of a server."""
    lines: list[str] = []
    for metric in _metrics(snapshot):
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.type}", *metric.samples]
    return "\n".join([*lines, ""]).encode()


def _labels(**values: str) -> str:
    """Return labels as in a sample."""
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in values.items()) + "}"


def _metrics(snapshot: Snapshot) -> Iterator[_Metric]:
    labels = [_labels(id=deployment.id, name=deployment.name) for deployment in snapshot.deployments]
    yield from _server(snapshot)
    yield from _requests(snapshot)
    yield from _replicas(snapshot.deployments, labels)
    if snapshot.controlled:
        yield _lag(snapshot.controlled)
        yield from _traffic(snapshot.deployments, labels, snapshot.controlled)
        yield from _used(snapshot.deployments, labels, snapshot.controlled)


def _server(snapshot: Snapshot) -> Iterator[_Metric]:
    info = _Metric("gradient_server_info", "gauge", "Always 1; the label engine says what runs deployments.", [])
    info.add(_labels(engine=snapshot.engine), 1)
    yield info
    deployments = _Metric("gradient_deployments", "gauge", "Number of deployments in each state.", [])
    for state, number in snapshot.counts.items():
        deployments.add(_labels(state=state), number)
    yield deployments


def _requests(snapshot: Snapshot) -> Iterator[_Metric]:
    requests = _Metric(
        "gradient_api_requests_total", "counter", "Requests to the API, by operation and HTTP status.", []
    )
    for (operation, status), number in snapshot.by_status.items():
        requests.add(_labels(operation=operation, status=str(status)), number)
    yield requests
    durations = _Metric(
        "gradient_api_request_duration_seconds", "histogram", "Durations of requests to the API, in seconds.", []
    )
    for operation, (counts, seconds) in snapshot.durations.items():
        durations.add_histogram(_labels(operation=operation), request_counts.BOUNDS, counts, seconds)
    yield durations


def _replicas(deployments: Sequence[DeploymentState], labels: Sequence[str]) -> Iterator[_Metric]:
    wanted_help = "Replicas that the newest revision of a deployment should have; autoscaling can raise this number."
    wanted = _Metric("gradient_deployment_replicas", "gauge", wanted_help, [])
    ready_help = "Replicas of the newest revision of a deployment that are ready."
    ready = _Metric("gradient_deployment_ready_replicas", "gauge", ready_help, [])
    for deployment, its_labels in zip(deployments, labels, strict=True):
        wanted.add(its_labels, deployment.replicas)
        ready.add(its_labels, deployment.ready)
    yield from (wanted, ready)


def _lag(controlled: Controlled) -> _Metric:
    help_ = "Age in seconds of the oldest change that the server has not applied yet, in all deployments."
    lag = _Metric("gradient_reconcile_lag_seconds", "gauge", help_, [])
    lag.add("", controlled.lag)
    return lag


def _traffic(
    deployments: Sequence[DeploymentState], labels: Sequence[str], controlled: Controlled
) -> Iterator[_Metric]:
    """Yield the requests and the restarts. Deployments whose requests are unknown have no samples of them."""
    help_ = "Restarts of replicas of a deployment that had crashed."
    restarts = _Metric("gradient_deployment_restarts_total", "counter", help_, [])
    help_ = "Requests to the endpoint of a deployment that have ended."
    requests = _Metric("gradient_deployment_requests_total", "counter", help_, [])
    help_ = "Requests to the endpoint of a deployment that ended with status 500 or higher."
    errors = _Metric("gradient_deployment_request_errors_total", "counter", help_, [])
    help_ = "Durations of requests to the endpoint of a deployment, in seconds."
    durations = _Metric("gradient_deployment_request_duration_seconds", "histogram", help_, [])
    for deployment, its_labels in zip(deployments, labels, strict=True):
        restarts.add(its_labels, controlled.restarts.get(deployment.id, 0))
        readings = controlled.readings.get(deployment.id)
        if readings and (traffic := readings[-1].traffic):
            requests.add(its_labels, traffic.requests)
            errors.add(its_labels, traffic.errors)
            durations.add_histogram(its_labels, usage.BOUNDS, traffic.durations, traffic.seconds)
    yield from (restarts, requests, errors, durations)


_USED = (
    ("gradient_deployment_active_requests", "Requests that the replicas of a deployment have now."),
    ("gradient_deployment_cpus", "CPUs that all replicas of a deployment used together in the last ten seconds."),
    ("gradient_deployment_cpu_limit", "CPUs that all replicas of a deployment may use together."),
    (
        "gradient_deployment_memory_bytes",
        "Memory that all replicas of a deployment use together, without cached files that can be dropped.",
    ),
    ("gradient_deployment_memory_limit_bytes", "Memory that all replicas of a deployment may use together."),
)


def _used(deployments: Sequence[DeploymentState], labels: Sequence[str], controlled: Controlled) -> Iterator[_Metric]:
    """Yield what deployments use now. What is unknown has no sample."""
    metrics = [_Metric(name, "gauge", help_, []) for name, help_ in _USED]
    for deployment, its_labels in zip(deployments, labels, strict=True):
        used = usage_of(deployment, controlled.readings.get(deployment.id, ()))
        values = (used.active_requests, used.cpus, used.cpu_limit, used.memory, used.memory_limit)
        for metric, value in zip(metrics, values, strict=True):
            if value is not None:
                metric.add(its_labels, value)
    yield from metrics
