# Generated from graphql/operations/HealthCheckFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `HealthCheckFields`: a selection of `DeploymentSpecHealthCheck`."""

from __future__ import annotations

from typing_extensions import TypedDict


class DeploymentSpecHealthCheckHeader(TypedDict):
    """A header of the request of a check."""

    name: str
    """The name."""

    value: str
    """The value."""


class DeploymentSpecHealthCheckExec(TypedDict):
    """A command that checks a container."""

    command: list[str]
    """The program and its arguments. No shell is involved."""


class DeploymentSpecHealthCheck(TypedDict):
    """A check of a container: an HTTP request to `path`, or a command. It passes with a status of 200 to 399, or with
    exit code 0.
    """

    path: str | None
    """The path of the request, with its query. Null: the check is a command."""

    port: int | None
    """The port of the request. Null: the port of the spec."""

    host: str | None
    """The `Host` header of the request. The connection is to the container, whatever it is. Null: the address of the
    container.
    """

    headers: list[DeploymentSpecHealthCheckHeader] | None
    """The headers of the request. Null: none."""

    exec: DeploymentSpecHealthCheckExec | None
    """The command to run in the container. Null: the check is an HTTP request."""

    initialDelaySeconds: int | None
    """The seconds between the start of the container and the first check. Null: 0."""

    periodSeconds: int | None
    """The seconds between two checks. Null: 10."""

    timeoutSeconds: int | None
    """The seconds that a check may take. Null: 1."""

    failureThreshold: int | None
    """The number of failures in a row after which the check has failed. Null: 3."""
