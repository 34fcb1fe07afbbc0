"""The Python SDK of Gradient Deployments: containers that host models and serve inferences.

deployments      the functions: create, update, delete, list and get deployments
aio.deployments  the same functions, to be awaited
Client           settings and connections of your own, with the functions on them
AsyncClient      the same for asynchronous code
configure        sets up the default client, which the functions of the modules run on
errors           every error; all of them are here too
types            the shapes of what goes in and comes out, for annotations
schema           compares the schema of a server with ours
server           the local server
"""

from paperspace.gradient import deployments, errors
from paperspace.gradient._default_client import configure
from paperspace.gradient._version import __version__
from paperspace.gradient.client import AsyncClient, Client
from paperspace.gradient.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
    DeploymentFailedError,
    EndpointNotFoundError,
    GradientError,
    InvalidArgumentError,
    InvalidSpecError,
    MalformedResponseError,
    MissingAPIKeyError,
    NotFoundError,
    OutcomeUnknownError,
    PaginationError,
    PartialResultError,
    PermissionDeniedError,
    RateLimitError,
    RedirectError,
    ResponseTooLargeError,
    SchemaError,
    ServerError,
    TLSError,
    WaitTimeoutError,
)

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncClient",
    "AuthenticationError",
    "BadRequestError",
    "Client",
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
    "RateLimitError",
    "RedirectError",
    "ResponseTooLargeError",
    "SchemaError",
    "ServerError",
    "TLSError",
    "WaitTimeoutError",
    "__version__",
    "configure",
    "deployments",
    "errors",
]
