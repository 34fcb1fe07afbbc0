"""GraphQL over HTTP: parse GraphQL requests and negotiate the media type, as pure functions."""

from __future__ import annotations

import hashlib
import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn, cast

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient.server.graphql.execution import Request
from paperspace.gradient.server.http.request_errors import HTTPRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"

_QUALITY = re.compile(r"\s*q=([01](?:\.[0-9]{0,3})?)\s*", re.IGNORECASE)
_NAMED_OPERATION = re.compile(r"(?:query|mutation)\s+(\w{1,100})")
_PARAMETERS = ("query", "operationName", "variables", "extensions")


def negotiate(accept: Iterable[str]) -> str | None:
    """Choose the media type of the response from the Accept headers; None if they accept neither of ours."""
    accepted = qualities(accept) or {"*/*": 1.0}
    for name in sorted(accepted, key=lambda name: -accepted[name]):
        for media_type in (JSON, GRAPHQL_RESPONSE):
            if name in (media_type, "application/*", "*/*") and accepted[name] > 0 and accepted.get(media_type) != 0:
                return media_type
    return None


def qualities(accept: Iterable[str]) -> dict[str, float]:
    """Return the quality of each value in the headers Accept or Accept-Encoding."""
    found: dict[str, float] = {}
    for value in ",".join(accept).split(","):
        name, *parameters = value.split(";")
        matches = filter(None, map(_QUALITY.fullmatch, parameters))
        if name := name.strip().lower():
            found[name] = next((float(match[1]) for match in matches), 1.0)
    return found


def request_from_body(body: bytes, idempotency_key: str | None = None) -> Request:
    """Parse the GraphQL request in a body.

    Raises:
        HTTPRequestError: the body is not a GraphQL request.
    """
    payload = _parse_json(body, "the body")
    if not isinstance(payload, dict):
        raise HTTPRequestError(HTTPStatus.BAD_REQUEST, "the body must be a JSON object")
    return _request(
        cast("dict[str, Any]", payload),
        key_digest=digest(idempotency_key) if idempotency_key else None,
        body_digest=hashlib.sha256(body).digest(),
    )


def request_from_url(query_parameters: Iterable[tuple[str, str]]) -> Request:
    """Parse the GraphQL request in the query of a URL; it may only read.

    Raises:
        HTTPRequestError: the URL has no GraphQL request.
    """
    parameters: dict[str, Any] = {}
    for name, value in query_parameters:
        if name in parameters:
            raise HTTPRequestError(HTTPStatus.BAD_REQUEST, f"`{name}` appears more than once")
        if name in _PARAMETERS:
            parameters[name] = value
    for name in ("variables", "extensions"):
        if name in parameters:
            parameters[name] = _parse_json(parameters[name].encode("utf-8", "surrogatepass"), f"`{name}`")
    return _request(parameters, read_only=True)


def digest(key: str) -> bytes:
    """Hash a key: digests have one length, and do not reveal the key to readers of the database."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def operation_name(request: Request) -> str | None:
    """Return the name of the operation, for the log: as it is sent, or as the document starts. None: it has no name."""
    start = _NAMED_OPERATION.match(request.query.lstrip())
    return request.operation_name or (start and start[1])


def _request(parameters: Mapping[str, Any], **options: Any) -> Request:
    extensions = parameters.get("extensions")
    if not parameters.get("query") and isinstance(extensions, dict) and "persistedQuery" in extensions:
        # Apollo Client recognizes the code, urql the message. Both then send the document.
        raise HTTPRequestError(
            HTTPStatus.BAD_REQUEST,
            "PersistedQueryNotSupported",
            Code.PERSISTED_QUERY_NOT_SUPPORTED,
            json_status=HTTPStatus.OK,
        )
    if not isinstance(parameters.get("query"), str):
        raise HTTPRequestError(HTTPStatus.BAD_REQUEST, "`query` must be a string")
    if not isinstance(parameters.get("operationName"), str | None):
        raise HTTPRequestError(HTTPStatus.BAD_REQUEST, "`operationName` must be a string or null")
    for name in ("variables", "extensions"):
        if not isinstance(parameters.get(name), dict | None):
            raise HTTPRequestError(HTTPStatus.BAD_REQUEST, f"`{name}` must be an object or null")
    return Request(parameters["query"], parameters.get("operationName"), parameters.get("variables"), **options)


def _parse_json(text: bytes, source: str) -> Any:
    try:
        # Decode here: json.loads would also accept bytes in UTF-16 and UTF-32.
        value = json.loads(text.decode("utf-8"), parse_constant=_reject_constant)
        # JSON escapes can express lone surrogates, which cannot be stored or sent.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise HTTPRequestError(HTTPStatus.BAD_REQUEST, f"{source} is not valid JSON in UTF-8") from None
    return value


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(name)
