"""What a test's function gets and returns when it responds for the endpoint of a deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class ModelRequest(NamedTuple):
    """A request to the endpoint of a deployment.

    Example:
        >>> from paperspace.gradient.pytest_plugin import ModelRequest
        >>> ModelRequest("GET", "/v1/models/mnist", {}, {"accept": "*/*"}, b"").path
        '/v1/models/mnist'
    """

    method: str
    """The HTTP method, such as `POST`."""
    path: str
    """The path below the endpoint, such as `/v1/models/mnist`; `/` for the endpoint itself."""
    query: Mapping[str, str]
    """The parameters of the URL. Of several with the same name, the first one; `query_string` has all."""
    headers: Mapping[str, str]
    """The headers, with names in lower case."""
    body: bytes
    """The body, decompressed."""
    query_string: str = ""
    """The query of the URL as it was sent, such as `x=1&x=2`, for `urllib.parse.parse_qs`."""
    name: str = ""
    """The name of the deployment."""
    project_id: str = ""
    """The id of its project."""
    image: str = ""
    """The container image of the revision that responds."""
    spec_id: str = ""
    """The id of the spec of this revision."""

    def json(self) -> Any:
        """Return the body, parsed as JSON.

        Raises:
            ValueError: It is not JSON.

        Example:
            >>> from paperspace.gradient.pytest_plugin import ModelRequest
            >>> ModelRequest("POST", "/", {}, {}, b'{"instances": [1]}').json()
            {'instances': [1]}
        """
        import json

        return json.loads(self.body)


class ModelResponse(NamedTuple):
    """A response with a status or headers of its own.

    Example:
        >>> from paperspace.gradient.pytest_plugin import ModelResponse
        >>> gradient_server.respond("mnist", lambda request: ModelResponse({"error": "busy"}, 429, {"Retry-After": "1"}))
    """

    body: object = b""
    """`bytes`, or a value that is sent as JSON."""
    status: int = 200
    """The HTTP status, from 200 to 599."""
    headers: Mapping[str, str] = {}
    """Further headers. The server sets `Content-Length` and `Transfer-Encoding` itself, and refuses them here."""
