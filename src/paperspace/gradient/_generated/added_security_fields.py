# Generated from graphql/operations/AddedSecurityFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `AddedSecurityFields`: a selection of `DeploymentSpecData`."""

from __future__ import annotations

from typing_extensions import TypedDict


class DeploymentSpecEndpointSecurity(TypedDict):
    """Who may use the endpoint of a deployment."""

    protected: bool
    """Whether requests need the user name and the password."""


class DeploymentSpecData(TypedDict, total=False):
    """What to run. Omitted fields are null here; they run with their defaults."""

    endpointSecurity: DeploymentSpecEndpointSecurity | None
    """Who may use the endpoint. Null: everyone. The hosted API did not have this field."""
