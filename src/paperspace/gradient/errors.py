"""Every error that the library raises on purpose.

Their tree::

    GradientError
    ├── ConfigurationError           also a ValueError: no key, or a setting that cannot be used
    │   └── MissingAPIKeyError       there is no API key
    ├── InvalidArgumentError         also a ValueError: an argument that cannot be right; nothing was sent
    │   └── InvalidSpecError         the same for a spec, with every bad place
    ├── ClientClosedError            the client was closed before the call or during it
    ├── SchemaError                  a schema that was to be compared cannot be had, or is none
    ├── DeploymentFailedError        a deployment that was waited for failed; has its status and log lines
    ├── WaitTimeoutError             also a TimeoutError: a deployment was not there in time; has its last status
    └── APIError                     a call was tried and did not come out; knows what was tried
        ├── APIConnectionError       also a ConnectionError: no connection, or it broke
        │   └── TLSError             the server could not prove who it is
        ├── APITimeoutError          also a TimeoutError: the deadline passed
        ├── OutcomeUnknownError      a change was sent and its answer lost: it may have happened
        ├── APIStatusError           an HTTP status without a GraphQL answer
        │   ├── EndpointNotFoundError    404: there is no GraphQL API at this address
        │   └── RedirectError            the server sent us elsewhere; not followed
        ├── MalformedResponseError      the answer is not what the API promises
        │   ├── ResponseTooLargeError       more bytes than `max_response_bytes`
        │   └── PaginationError          the pages of a list do not fit together
        ├── AuthenticationError      the key was not accepted
        ├── PermissionDeniedError    the key was accepted, but does not reach that far
        ├── NotFoundError            also a LookupError: there is no such thing, or it is deleted
        ├── ConflictError            it is in the way of something that exists, such as a name that is taken
        ├── BadRequestError          also a ValueError: the server refused what was sent
        ├── RateLimitError           too many requests; says when to come back
        ├── ServerError              a fault in the server
        └── PartialResultError       the answer has both data and errors
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from paperspace.gradient._shared.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paperspace.gradient.types import DeploymentStatus, LogLine

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
    """The root of all the errors here: `except GradientError` catches every one of them."""


class ConfigurationError(GradientError, ValueError):
    """There is no API key, or a setting cannot be used. Nothing was sent."""


class MissingAPIKeyError(ConfigurationError):
    """No API key is set: no argument, no environment variable, no entry in the configuration file."""


class InvalidArgumentError(GradientError, ValueError):
    """An argument that cannot be right. Nothing was sent.

    Attributes:
        problems: Every bad place, each with `path`, `given`, `expected` and perhaps a `hint`.
    """

    def __init__(self, message: str, *, problems: Iterable[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class InvalidSpecError(InvalidArgumentError):
    """A spec that cannot be right. Nothing was sent; the message and `problems` list every bad place."""


class ClientClosedError(GradientError):
    """The client was closed before the call, or while it was under way."""


class SchemaError(GradientError):
    """A schema that was to be compared cannot be had, or is none."""


class DeploymentFailedError(GradientError):
    """A deployment that was waited for failed.

    Attributes:
        status: The status that it came to.
        logs: The last lines of its logs.
    """

    def __init__(self, message: str, *, status: DeploymentStatus | None = None, logs: Iterable[LogLine] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.logs = list(logs)


class WaitTimeoutError(GradientError, TimeoutError):
    """A deployment that was waited for was not there in time.

    Attributes:
        status: The last status that was seen, None where there was none.
    """

    def __init__(self, message: str, *, status: DeploymentStatus | None = None) -> None:
        super().__init__(message)
        self.status = status


class APIError(GradientError):
    """A call was tried and did not come out.

    Attributes:
        operation: The GraphQL operation, such as `DeploymentCreate`.
        attempts: How many times a request was tried.
        elapsed: The seconds from the start of the call to the error.
        status: The HTTP status of the last answer, None where there was none.
        code: The GraphQL error code of the last answer, such as `CONFLICT`, None where there was none.
        request_id: What the server calls the request, None where it did not say.
        retry_after: The seconds that the server asks to wait, None where it did not.
        may_have_executed: Whether the change that was asked for may have happened; `no` for reads.
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
            facts.append(f"come back in {self.retry_after:g} s")
        head = f"{self.operation}: " if self.operation else ""
        tail = f" ({', '.join(facts)})" if facts else ""
        return f"{head}{self.args[0]}{tail}"


class APIConnectionError(APIError, ConnectionError):
    """The server could not be reached, or the connection broke before the answer was whole."""


class TLSError(APIConnectionError):
    """The server's certificate or protocol was not accepted. Never tried again: nothing was sent."""


class APITimeoutError(APIError, TimeoutError):
    """The deadline of the call passed."""


class OutcomeUnknownError(APIError):
    """A change was sent, its answer was lost, and what became of it could not be found out in time."""


class APIStatusError(APIError):
    """The server, or something in front of it, answered with an HTTP status and no GraphQL result."""


class EndpointNotFoundError(APIStatusError):
    """HTTP 404: there is no GraphQL API at this address. Not to be confused with `NotFoundError`."""


class RedirectError(APIStatusError):
    """The server sent us to another address. Not followed, as the key would go along."""


class MalformedResponseError(APIError):
    """The answer is not what the API promises; the message names the place."""


class ResponseTooLargeError(MalformedResponseError):
    """The answer has more bytes than the client's `max_response_bytes`."""


class PaginationError(MalformedResponseError):
    """The pages of a list do not fit together, so it cannot be told to be whole."""


class AuthenticationError(APIError):
    """The API key was not accepted."""


class PermissionDeniedError(APIError):
    """The API key was accepted, but is not allowed to do this."""


class NotFoundError(APIError, LookupError):
    """There is no such deployment, or it is deleted; or the deployment has no such spec, or no log of such an instance.

    Attributes:
        resource: What there is none of: `deployment`, `spec` or `instance`.
    """

    resource: Literal["deployment", "spec", "instance"] = "deployment"


class ConflictError(APIError):
    """What was asked for is in the way of something that exists, such as a name that is taken."""


class BadRequestError(APIError, ValueError):
    """The server refused what was sent; the message says why, as far as the server did."""


class RateLimitError(APIError):
    """Too many requests; `retry_after` says for how many seconds to wait."""


class ServerError(APIError):
    """A fault in the server."""


class PartialResultError(APIError):
    """The answer has both data and errors: a part of what was asked for is missing, or failed.

    Attributes:
        data: What the server did answer, unchecked.
    """

    data: object = None
