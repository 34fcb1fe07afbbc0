# Generated from graphql/operations/AddedSpecFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `AddedSpecFields`: a selection of `DeploymentSpecData`."""

from __future__ import annotations

from typing_extensions import TypedDict

from paperspace.gradient._generated.health_check_fields import DeploymentSpecHealthCheck


class DeploymentSpecEndpointSecurity(TypedDict):
    """Who may use the endpoint of a deployment."""

    protected: bool
    """Whether requests need the user name and the password."""

    secret: str | None
    """The name of the secret with the password. Null: the server generates one."""


class DeploymentSpecHealthChecks(TypedDict):
    """The checks of a container."""

    startup: DeploymentSpecHealthCheck | None
    """The other checks begin when it has passed once. If it fails, the container is restarted. Null: they begin at
    once.
    """

    readiness: DeploymentSpecHealthCheck | None
    """While it fails, the replica gets no requests. Null: a replica gets requests after its first HTTP response."""

    liveness: DeploymentSpecHealthCheck | None
    """If it fails, the container is restarted. Null: no check."""


class DeploymentSpecData(TypedDict, total=False):
    """What to run. Omitted fields are null here; they run with their defaults."""

    endpointSecurity: DeploymentSpecEndpointSecurity | None
    """Who may use the endpoint. Null: everyone. The hosted API did not have this field."""

    healthChecks: DeploymentSpecHealthChecks | None
    """The checks of the container. Null: none. The hosted API did not have them."""
