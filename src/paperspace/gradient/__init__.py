"""Python SDK of Gradient Deployments: containers that host models and serve inferences.

deployments      functions: create, update, delete, list and get deployments, and more
aio.deployments  async versions of the functions
Client           a client with its own settings and connections: `Client(...).deployments`
AsyncClient      the async version of `Client`
configure        sets the settings of the default client, which the functions use
errors           all errors; each can also be imported from here
types            types of arguments and results, for annotations
schema           compares the schema of a server with that of the library
server           the local server
pytest_plugin    the pytest fixture `gradient_server`
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
