"""`gradient deployments`: a module for each kind of command."""

from paperspace.gradient.cli.deployments import changes, desired, observed, reads
from paperspace.gradient.cli.deployments._group import command

__all__ = ["changes", "command", "desired", "observed", "reads"]
