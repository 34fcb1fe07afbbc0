"""`gradient deployments`. Importing the modules adds their commands to the group."""

from paperspace.gradient.cli.deployments import changes, monitoring, mutations, queries, spec_files, status, update
from paperspace.gradient.cli.deployments._group import command

__all__ = ["changes", "command", "monitoring", "mutations", "queries", "spec_files", "status", "update"]
