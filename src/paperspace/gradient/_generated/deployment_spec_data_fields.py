# Generated from graphql/operations/DeploymentSpecDataFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `DeploymentSpecDataFields`: a selection of `DeploymentSpecData`."""

from __future__ import annotations

from paperspace.gradient._generated.added_spec_fields import DeploymentSpecData as AddedSpecFields
from paperspace.gradient._generated.hosted_spec_fields import DeploymentSpecData as HostedSpecFields


class DeploymentSpecData(HostedSpecFields, AddedSpecFields):
    """What to run. Omitted fields are null here; they run with their defaults."""
