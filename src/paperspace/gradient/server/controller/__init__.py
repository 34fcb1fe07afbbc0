"""The controller: runs deployments on an engine."""
