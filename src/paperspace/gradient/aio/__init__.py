"""The functions, to be awaited: `from paperspace.gradient.aio import deployments`."""
