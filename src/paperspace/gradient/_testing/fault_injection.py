"""The methods of `GradientServer` about requests: faults for the next ones, and a record of the received ones."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from paperspace.gradient._shared.lazy import lazy_modules

if TYPE_CHECKING:
    from paperspace.gradient import server
    from paperspace.gradient._shared.received_requests import PendingFault, ReceivedRequest
    from paperspace.gradient.server.http.middleware import Fault
else:
    [server] = lazy_modules("paperspace.gradient", "server")


class FaultInjection:
    """Inject faults into the next requests to the API, and record the requests."""

    _server: server.LocalServer

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The requests to the API since the server started, in the order in which it received them.

        Example:
            >>> gradient_server.server_error(503)
            >>> created = deployments.create_deployment("mnist", "p1", {"image": "nginx"})
            >>> [(request.operation, request.status) for request in gradient_server.requests]
            [('DeploymentCreate', 503), ('DeploymentCreate', 200)]
        """
        return self._server.requests

    @property
    def pending_faults(self) -> list[PendingFault]:
        """The injected faults that no request has received yet.

        Example:
            >>> gradient_server.rate_limit(2, operation="DeploymentUpdate")
            >>> len(gradient_server.pending_faults)
            2
        """
        return self._server.pending_faults

    def rate_limit(self, times: int = 1, *, retry_after: int = 1, operation: str | None = None) -> None:
        """Reject the next requests with HTTP status 429.

        Args:
            times: The number of requests.
            retry_after: The seconds in the `Retry-After` header.
            operation: Only requests of this operation, such as `DeploymentCreate`. None: all.

        Raises:
            ValueError: `times` or `retry_after` is not an integer, 0 or more.

        Example:
            >>> gradient_server.rate_limit(retry_after=60)
            >>> deployments.list_deployments()
            Traceback (most recent call last):
                ...
            paperspace.gradient.errors.RateLimitError: ...
        """
        _check_count("retry_after", retry_after)
        self._inject(server.rate_limit(retry_after), times, operation)

    def server_error(
        self, status: int = 500, times: int = 1, *, executed: bool = False, operation: str | None = None
    ) -> None:
        """Respond to the next requests with a status from 500 to 599, as a server or a proxy does that fails.

        Args:
            status: The HTTP status.
            times: The number of requests.
            executed: Whether the requests are executed first.
            operation: Only requests of this operation, such as `DeploymentCreate`. None: all.

        Raises:
            ValueError: `status` is not from 500 to 599, or `times` is not an integer, 0 or more.

        Example:
            >>> gradient_server.server_error(500, times=3)
            >>> deployments.list_deployments()
            Traceback (most recent call last):
                ...
            paperspace.gradient.errors.ServerError: ...
        """
        self._inject(server.server_error(status, executed=executed), times, operation)

    def delay(self, seconds: float, times: int = 1, *, operation: str | None = None) -> None:
        """Delay the next requests before they are executed.

        Args:
            seconds: The delay of each request.
            times: The number of requests.
            operation: Only requests of this operation, such as `DeploymentCreate`. None: all.

        Raises:
            ValueError: `seconds` is not a finite number, 0 or more, or `times` is not an integer, 0 or more.

        Example:
            >>> gradient_server.delay(0.1)
            >>> deployments.list_deployments()
            []
        """
        check_numbers(seconds=seconds)
        self._inject(server.delay(seconds), times, operation)

    def drop(self, times: int = 1, *, executed: bool = False, operation: str | None = None) -> None:
        """Close the connection of the next requests without a response.

        Args:
            times: The number of requests.
            executed: Whether the requests are executed first.
            operation: Only requests of this operation, such as `DeploymentCreate`. None: all.

        Raises:
            ValueError: `times` is not an integer, 0 or more.

        Example:
            >>> gradient_server.drop(executed=True, operation="DeploymentCreate")
            >>> created = deployments.create_deployment("mnist", "p1", {"image": "nginx"})
            >>> [entry["id"] for entry in deployments.list_deployments()] == [created["id"]]
            True
        """
        self._inject(server.drop(executed=executed), times, operation)

    def _inject(self, fault: Fault, times: int, operation: str | None) -> None:
        _check_count("times", times)
        self._server.inject_fault(*[fault] * times, operation=operation)


def check_numbers(**numbers: float) -> None:
    """Check that each argument is a finite number, 0 or more.

    Raises:
        ValueError: It is not.
    """
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < inf:
            raise ValueError(f"{name}: expected a finite number, 0 or more, got {value!r}")


def _check_count(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name}: expected an integer, 0 or more, got {value!r}")
