"""The Python SDK of Gradient Deployments."""
