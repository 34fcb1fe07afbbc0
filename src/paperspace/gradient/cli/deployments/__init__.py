"""`gradient deployments`."""

from paperspace.gradient.cli.deployments._group import command

__all__ = ["command"]
