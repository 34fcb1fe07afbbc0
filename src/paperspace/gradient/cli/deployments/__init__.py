"""`gradient deployments`: a module for each kind of command."""

from paperspace.gradient.cli.deployments import changes as desired
from paperspace.gradient.cli.deployments import monitoring as observed
from paperspace.gradient.cli.deployments import mutations as changes
from paperspace.gradient.cli.deployments import queries as reads
from paperspace.gradient.cli.deployments._group import command

__all__ = ["changes", "command", "desired", "observed", "reads"]
