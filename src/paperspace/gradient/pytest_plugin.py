"""Pytest plugin for code that uses Gradient Deployments: the fixture `gradient_server`.

pytest loads it automatically when the package is installed. docs/testing.md shows how to use it.

pytest reads attributes of every global of this module, in search of fixtures. A lazy module would be loaded by that, in every
run of pytest. So there is none here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paperspace.gradient._shared.model_messages import ModelRequest, ModelResponse
from paperspace.gradient._shared.received_requests import PendingFault, ReceivedRequest
from paperspace.gradient._testing.default_server import default_server
from paperspace.gradient._testing.gradient_server import GradientServer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["GradientServer", "ModelRequest", "ModelResponse", "PendingFault", "ReceivedRequest", "gradient_server"]


@pytest.fixture
def gradient_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[GradientServer]:
    """Start a local server for one test. The environment and the default client use it until the test ends.

    Yields:
        The server, empty, on a free port.

    Example:
        >>> def test_deploys(gradient_server):
        ...     deployments.create_deployment("mnist", "p1", {"image": "nginx"})
        ...     assert len(deployments.list_deployments()) == 1
    """
    with GradientServer() as test_server, default_server(test_server.url, test_server.api_key, undo=monkeypatch.undo):
        yield test_server
