"""Async versions of the functions: `from paperspace.gradient.aio import deployments`."""
