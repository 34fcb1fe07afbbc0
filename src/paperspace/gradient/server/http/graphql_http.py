"""What a GraphQL request is, in a body or in a URL, and which media type its reply has: pure functions."""

from __future__ import annotations

import hashlib
import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn, cast

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient.server.graphql.execution import Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"

_QUALITY = re.compile(r"\s*q=([01](?:\.[0-9]{0,3})?)\s*", re.IGNORECASE)
_PARAMETERS = ("query", "operationName", "variables", "extensions")


class RefusedError(Exception):
    """The request is refused before anything of GraphQL is looked at."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        code: Code = Code.BAD_USER_INPUT,
        headers: Mapping[str, str] | None = None,
        **facts: object,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.extensions = {"code": code, **facts}


def negotiate(accept: Iterable[str]) -> str | None:
    """The media type of the reply, by the values of the Accept headers; None if none of ours is accepted."""
    qualities: dict[str, float] = {}
    for media_range in ",".join(accept).split(","):
        name, *parameters = media_range.split(";")
        found = filter(None, map(_QUALITY.fullmatch, parameters))
        qualities[name.strip().lower() or "*/*"] = next((float(match[1]) for match in found), 1.0)
    for name in sorted(qualities, key=lambda name: -qualities[name]):
        for offer in (JSON, GRAPHQL_RESPONSE):
            if name in (offer, "application/*", "*/*") and qualities[name] > 0 and qualities.get(offer) != 0:
                return offer
    return None


def request_of_body(body: bytes, idempotency_key: str | None = None) -> Request:
    """The GraphQL request in a body.

    Raises:
        RefusedError: There is none.
    """
    payload = _json(body, "The body")
    if not isinstance(payload, dict):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "The body has to be a JSON object.")
    return _request(
        cast("dict[str, Any]", payload),
        idempotency_key=digest(idempotency_key) if idempotency_key else None,
        digest=hashlib.sha256(body).digest(),
    )


def request_of_url(values: Iterable[tuple[str, str]]) -> Request:
    """The GraphQL request in the query of a URL, which may read only.

    Raises:
        RefusedError: There is none.
    """
    parameters: dict[str, Any] = {}
    for name, value in values:
        if name in parameters:
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"`{name}` is given more than once.")
        if name in _PARAMETERS:
            parameters[name] = value
    for name in ("variables", "extensions"):
        if name in parameters:
            parameters[name] = _json(parameters[name].encode("utf-8", "surrogatepass"), f"`{name}`")
    return _request(parameters, read_only=True)


def digest(key: str) -> bytes:
    """Keys are known by digests: of one length, whatever was sent, and of no use to whoever reads the database."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _request(parameters: Mapping[str, Any], **more: Any) -> Request:
    if not isinstance(parameters.get("query"), str):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "`query` has to be a string.")
    if not isinstance(parameters.get("operationName"), str | None):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "`operationName` has to be a string or null.")
    for name in ("variables", "extensions"):
        if not isinstance(parameters.get(name), dict | None):
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"`{name}` has to be an object or null.")
    return Request(parameters["query"], parameters.get("operationName"), parameters.get("variables"), **more)


def _json(text: bytes, what: str) -> Any:
    try:
        # Bytes are not given to json: it would take other encodings than UTF-8 for granted.
        value = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
        # Half a character, written as an escape, passes as JSON but can be neither stored nor sent.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"{what} is not valid JSON in UTF-8.") from None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
