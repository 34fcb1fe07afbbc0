# Generated from graphql/operations/DeploymentMetricsFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `DeploymentMetricsFields`: a selection of `DeploymentMetrics`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.scalars import DateTime


class DeploymentMetrics(TypedDict):
    """What a deployment used, and which requests it got, in the time since the point before. Null: it is unknown."""

    time: DateTime
    """The end of the time that it is about."""

    replicas: int
    """How many instances the newest spec asks for, after autoscaling."""

    readyReplicas: int
    """How many instances of the newest spec are ready."""

    cpu: float | None
    """How many CPUs all its instances used together, on average."""

    cpuLimit: float | None
    """How many CPUs its instances may use together."""

    memory: float | None
    """The bytes of memory that all its instances used together, on average; without cached files that can be dropped.
    """

    memoryLimit: float | None
    """How many bytes its instances may use together."""

    activeRequests: int | None
    """The requests that its instances have at this time. Without the gateway, null."""

    requestsPerSecond: float | None
    """The requests that ended."""

    errorsPerSecond: float | None
    """The requests that failed: with a status of 500 or higher, from the deployment or the gateway."""

    requestDuration: float | None
    """The mean duration of requests in seconds. Null: there were none."""

    requestDurationP50: float | None
    """The median of the durations in seconds, estimated from a histogram. Null: there were none."""

    requestDurationP95: float | None
    """The 95th percentile of the durations in seconds, estimated from a histogram. Null: there were none."""
