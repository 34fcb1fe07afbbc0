"""The errors that the library raises.

Their tree::

    GradientError
    ├── ConfigurationError           also a ValueError: a setting is invalid
    │   └── MissingAPIKeyError       there is no API key
    ├── InvalidArgumentError         also a ValueError: an argument is invalid; nothing was sent
    │   └── InvalidSpecError         a spec is invalid; lists every problem
    ├── ClientClosedError            the client was closed before or during the call
    ├── SchemaError                  a schema to compare with cannot be read, or is invalid
    ├── DeploymentFailedError        a deployment failed during a wait; has its status, log lines and warnings
    ├── WaitTimeoutError             also a TimeoutError: a deployment was not ready in time; has its status and warnings
    └── APIError                     a request failed; has the number of attempts
        ├── APIConnectionError       also a ConnectionError: no connection, or it broke
        │   └── TLSError             the server's certificate or protocol was not accepted
        ├── APITimeoutError          also a TimeoutError: the deadline passed
        ├── OutcomeUnknownError      the response to a change was lost: it may have been applied
        ├── APIStatusError           an HTTP status without a GraphQL result
        │   ├── EndpointNotFoundError    404: there is no GraphQL API at this URL
        │   └── RedirectError            the server redirects; redirects are not followed
        ├── MalformedResponseError   the response does not match the API
        │   ├── ResponseTooLargeError    more bytes than `max_response_bytes`
        │   └── PaginationError          the pages of a list do not match each other
        ├── AuthenticationError      the API key was not accepted
        ├── PermissionDeniedError    the API key does not allow this
        ├── NotFoundError            also a LookupError: it does not exist, or is deleted
        ├── ConflictError            it conflicts with something that exists, such as a name that is in use
        ├── BadRequestError          also a ValueError: the server rejected the request as invalid
        ├── RateLimitError           too many requests; `retry_after` says how long to wait
        ├── ServerError              the server failed
        └── PartialResultError       the response has both data and errors
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from paperspace.gradient._shared.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paperspace.gradient.types import DeploymentEvent, DeploymentStatus, LogLine

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "DeploymentFailedError",
    "EndpointNotFoundError",
    "GradientError",
    "InvalidArgumentError",
    "InvalidSpecError",
    "MalformedResponseError",
    "MissingAPIKeyError",
    "NotFoundError",
    "OutcomeUnknownError",
    "PaginationError",
    "PartialResultError",
    "PermissionDeniedError",
    "Problem",
    "RateLimitError",
    "RedirectError",
    "ResponseTooLargeError",
    "SchemaError",
    "ServerError",
    "TLSError",
    "WaitTimeoutError",
]


class GradientError(Exception):
    """The base class of all errors that the functions and the clients of the library raise."""


class ConfigurationError(GradientError, ValueError):
    """A setting is missing or invalid. Nothing was sent."""


class MissingAPIKeyError(ConfigurationError):
    """There is no API key: neither as an argument, nor in the environment, nor in the configuration file."""


class InvalidArgumentError(GradientError, ValueError):
    """An argument is invalid. Nothing was sent.

    Attributes:
        problems: Every problem, each with `path`, `value`, `expected`, `hint` and `kind`.
    """

    def __init__(self, message: str, *, problems: Iterable[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class InvalidSpecError(InvalidArgumentError):
    """A spec is invalid. Nothing was sent; the message and `problems` list every problem."""


class ClientClosedError(GradientError):
    """The client was closed before or during the call."""


class SchemaError(GradientError):
    """A schema to compare with cannot be read, or is invalid."""


class DeploymentFailedError(GradientError):
    """A deployment failed during a wait.

    Attributes:
        status: Its last status. None only if you create the error without one, as in a test.
        logs: The last lines of its logs. Empty if they could not be read.
        events: Its last warnings, by time. Empty if the server has no events, or they could not be read.
    """

    def __init__(
        self,
        message: str,
        *,
        status: DeploymentStatus | None = None,
        logs: Iterable[LogLine] = (),
        events: Iterable[DeploymentEvent] = (),
    ) -> None:
        super().__init__(message)
        self.status = cast("DeploymentStatus", status)  # the library always passes one
        self.logs = list(logs)
        self.events = list(events)


class WaitTimeoutError(GradientError, TimeoutError):
    """A deployment was not ready in time.

    Attributes:
        status: Its last status. None: it was never read.
        events: Its last warnings, by time. Empty if the server has no events, or they could not be read.
    """

    def __init__(
        self, message: str, *, status: DeploymentStatus | None = None, events: Iterable[DeploymentEvent] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.events = list(events)


class APIError(GradientError):
    """A request failed.

    Attributes:
        operation: The GraphQL operation, such as `DeploymentCreate`.
        attempts: How many attempts there were.
        elapsed: The seconds from the start of the call to the error.
        status: The HTTP status of the last response. None: there was no response, or a valid one says that something does
            not exist.
        code: The GraphQL error code of the last response, such as `CONFLICT`. None: it had no code.
        request_id: The server's id of the last request, to report. None: the server sent none.
        retry_after: The seconds that the server asks to wait. None: it does not ask.
        may_have_executed: Whether the change was applied: `yes`, `no` or `unknown`. Always `no` for a read.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        attempts: int = 1,
        elapsed: float = 0.0,
        may_have_executed: Literal["no", "yes", "unknown"] = "no",
    ) -> None:
        super().__init__(message)
        self.operation = operation
        self.attempts = attempts
        self.elapsed = elapsed
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.may_have_executed: Literal["no", "yes", "unknown"] = may_have_executed

    def __str__(self) -> str:
        facts: list[str] = []
        if self.status is not None:
            facts.append(f"HTTP {self.status}")
        if self.code is not None:
            facts.append(self.code)
        if self.request_id is not None:
            facts.append(f"request {self.request_id}")
        if self.attempts > 1:
            facts.append(f"{self.attempts} attempts in {self.elapsed:.1f} s")
        if self.retry_after is not None:
            facts.append(f"retry after {self.retry_after:g} s")
        head = f"{self.operation}: " if self.operation else ""
        tail = f" ({', '.join(facts)})" if facts else ""
        return f"{head}{self.args[0]}{tail}"


class APIConnectionError(APIError, ConnectionError):
    """There is no connection to the server, or it broke before the response was complete."""


class TLSError(APIConnectionError):
    """The server's certificate or protocol was not accepted. Nothing was sent. Never retried."""


class APITimeoutError(APIError, TimeoutError):
    """The deadline of the call passed."""


class OutcomeUnknownError(APIError):
    """The response to a change was lost, so the change may have been applied. Check before you retry."""


class APIStatusError(APIError):
    """The server, or a proxy in front of it, sent an HTTP status without a GraphQL result."""


class EndpointNotFoundError(APIStatusError):
    """HTTP 404: there is no GraphQL API at this URL. If a deployment does not exist, the error is `NotFoundError`."""


class RedirectError(APIStatusError):
    """The server redirects to another URL. Redirects are not followed, as they would send the API key there."""


class MalformedResponseError(APIError):
    """The response does not match the API; the message says which field is wrong."""


class ResponseTooLargeError(MalformedResponseError):
    """The response has more bytes than the client's `max_response_bytes`, or more than one value for every 16 of them."""


class PaginationError(MalformedResponseError):
    """The pages of a list do not match each other, so the list may be incomplete."""


class AuthenticationError(APIError):
    """The API key was not accepted."""


class PermissionDeniedError(APIError):
    """The API key was accepted, but does not allow this."""


class NotFoundError(APIError, LookupError):
    """The deployment, the revision or the log of the instance does not exist, or the deployment is deleted.

    Attributes:
        resource: What does not exist: `deployment`, `spec` or `instance`.
    """

    resource: Literal["deployment", "spec", "instance"] = "deployment"


class ConflictError(APIError):
    """The request conflicts with something that exists, such as a name that is already in use."""


class BadRequestError(APIError, ValueError):
    """The server rejected the request as invalid; the message comes from the server."""


class RateLimitError(APIError):
    """Too many requests; `retry_after` says how many seconds to wait."""


class ServerError(APIError):
    """The server failed."""


class PartialResultError(APIError):
    """The response has both data and errors: a part of the request failed.

    Attributes:
        data: The data in the response, not validated.
    """

    data: object = None
