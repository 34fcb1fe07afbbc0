"""What the tests share as data."""

from __future__ import annotations

from paperspace.gradient.types import DeploymentSpecInput

API_KEY = "a-key-for-tests"


def spec(port: int = 8501, replicas: int = 1) -> DeploymentSpecInput:
    """The spec of the documentation page, with another port or number of replicas."""
    return {
        "image": "tensorflow/serving",
        "port": port,
        "resources": {"instanceType": "A100", "replicas": replicas},
    }


SPEC = spec()
