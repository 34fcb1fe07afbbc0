"""What a test learns about the API requests that a server received, and about the faults that wait for them."""

from __future__ import annotations

from typing import NamedTuple


class ReceivedRequest(NamedTuple):
    """A request to the API.

    Example:
        >>> deployments.list_deployments()
        []
        >>> gradient_server.requests
        [ReceivedRequest(operation='Deployments', status=200, fault=None)]
    """

    operation: str | None
    """The name of the operation, such as `DeploymentCreate`; None if the request has no name, or is not valid."""
    status: int | None = None
    """The HTTP status of the response; None if there was no response, or the request is in progress."""
    fault: str | None = None
    """The fault that was injected, such as `drop`; None if no fault was injected."""


class PendingFault(NamedTuple):
    """A fault that no request has received yet.

    Example:
        >>> gradient_server.drop(operation="DeploymentCreate")
        >>> gradient_server.pending_faults
        [PendingFault(fault='drop', operation='DeploymentCreate')]
    """

    fault: str
    """The name of the fault, such as `drop`."""
    operation: str | None = None
    """The operation whose request gets the fault; None for the next request of any operation."""
