"""`gradient deployments`: a module for the commands that look, one for those that change something."""

from paperspace.gradient.cli.deployments import changes, reads
from paperspace.gradient.cli.deployments._group import command

__all__ = ["changes", "command", "reads"]
