"""The faults and their expected outcomes, one line a fault."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from tests.faults.behaviours import (
    bomb,
    close_on_accept,
    data_beside_500,
    drip_body,
    drip_headers,
    echo,
    encoded,
    endless_body,
    endless_interim,
    framed,
    graphql_error,
    json_bomb,
    never_read,
    never_respond,
    null_with_error,
    partial,
    partial_294,
    raw,
    raw_extra,
    raw_id,
    reset_on_accept,
    reset_while_sending,
    response,
    retry_after_date,
    some_interim,
    stall_in_body,
    with_extras,
    wrong,
)
from tests.faults.server import ID, OTHER_ID, Behaviour, Exchange

from paperspace.gradient import errors

MAX_RETRIES = 2
ATTEMPTS = MAX_RETRIES + 1
PAGE_SIZES = 4  # 100, 25, 6 and 1
OPERATIONS = ("get", "create", "update", "delete")

Executed = Literal["no", "yes", "unknown"]


class Outcome(NamedTuple):
    """The expected end of a call: its error (None: success), the attempts, and whether a change may have been applied."""

    error: type[errors.GradientError] | None
    attempts: int
    executed: Executed = "no"
    id: str = ID
    reused: int = 0  # how many attempts use a kept connection; a retry opens a new one
    sizes: int = 1  # of pages: one that is too large is requested again as a smaller one, with as many attempts each


@dataclass
class Fault:
    """A fault and its outcomes.

    Attributes:
        read: The outcome of a read if every attempt fails like this.
        change: The outcome of a create, update or delete.
        temporary: Whether a call succeeds if only its first attempt fails like this.
        timeout: The seconds that the call may take.
        overrides: Outcomes of single operations.
    """

    name: str
    behaviour: Behaviour
    read: Outcome
    change: Outcome
    temporary: bool = True
    timeout: float = 5.0
    overrides: dict[str, Outcome] = field(default_factory=dict)

    def outcome(self, operation: str) -> Outcome:
        return self.overrides.get(operation, self.read if operation == "get" else self.change)


# Outcomes by kind of failure, named as in `retry.FailureKind`.


def lost(name: str, error: type[errors.APIError], behaviour: Behaviour, **more: Any) -> Fault:
    change = Outcome(errors.OutcomeUnknownError, ATTEMPTS, "unknown")
    return Fault(name, behaviour, Outcome(error, ATTEMPTS), change, **more)


def broken(name: str, behaviour: Behaviour, error: type[errors.APIError] = errors.MalformedResponseError) -> Fault:
    sizes = PAGE_SIZES if error is errors.ResponseTooLargeError else 1
    return Fault(name, behaviour, Outcome(error, 2, sizes=sizes), Outcome(errors.OutcomeUnknownError, 2, "unknown"))


def final(name: str, error: type[errors.APIError], behaviour: Behaviour, **more: Any) -> Fault:
    return Fault(name, behaviour, Outcome(error, 1), Outcome(error, 1), temporary=False, **more)


def rejected(name: str, behaviour: Behaviour) -> Fault:
    """The values were rejected. A create looks up whether the name is taken, and that fails in the same way."""
    once, twice = Outcome(errors.BadRequestError, 1), Outcome(errors.BadRequestError, 2, reused=1)
    return Fault(name, behaviour, once, once, temporary=False, overrides={"create": twice})


def too_much(name: str, behaviour: Behaviour) -> Fault:
    """The server refused the work of the request. A page is requested again as a smaller one."""
    read = Outcome(errors.BadRequestError, 1, reused=PAGE_SIZES - 1, sizes=PAGE_SIZES)
    return Fault(name, behaviour, read, Outcome(errors.BadRequestError, 1), temporary=False)


def doubtful(name: str, error: type[errors.APIError], behaviour: Behaviour) -> Fault:
    return Fault(name, behaviour, Outcome(error, 1), Outcome(error, 1, "unknown"), temporary=False)


def unsent(name: str, error: type[errors.APIError], behaviour: Behaviour, **more: Any) -> Fault:
    return Fault(name, behaviour, Outcome(error, ATTEMPTS), Outcome(error, ATTEMPTS), **more)


def slow(name: str, behaviour: Behaviour) -> Fault:
    change = Outcome(errors.OutcomeUnknownError, 1, "unknown")
    return Fault(name, behaviour, Outcome(errors.APITimeoutError, 1), change, temporary=False, timeout=1.0)


def fine(name: str, behaviour: Behaviour) -> Fault:
    return Fault(name, behaviour, Outcome(None, 1), Outcome(None, 1), temporary=False)


E = errors
VALID = json.dumps({"data": {"deployment": None}}).encode()

FAULTS = [
    # Connections
    lost("closed on accept", E.APIConnectionError, close_on_accept),
    lost("reset without reading", E.APIConnectionError, reset_on_accept),
    lost("reset while sending", E.APIConnectionError, reset_while_sending),
    lost("closed before the response", E.APIConnectionError, raw(b"")),
    lost("reset before the response", E.APIConnectionError, raw(b"", Exchange.reset)),
    lost("closed in the status line", E.APIConnectionError, raw(b"HTTP/1.1 20")),
    lost("closed in the headers", E.APIConnectionError, raw(b"HTTP/1.1 200 OK\r\nContent-Ty")),
    lost("reset in the headers", E.APIConnectionError, raw(b"HTTP/1.1 200 OK\r\nContent-Ty", Exchange.reset)),
    lost("closed in the body", E.APIConnectionError, framed(headers=b"Content-Length: 100", body=VALID)),
    lost(
        "reset in the body",
        E.APIConnectionError,
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + VALID, Exchange.reset),
    ),
    lost("closed in a chunk", E.APIConnectionError, framed(headers=b"Transfer-Encoding: chunked", body=b"40\r\n{")),
    lost(
        "closed before the last chunk",
        E.APIConnectionError,
        framed(headers=b"Transfer-Encoding: chunked", body=b"%x\r\n%s\r\n" % (len(VALID), VALID)),
    ),
    # Time
    slow("request not read", never_read),
    slow("no response", never_respond),
    slow("slow headers", drip_headers),
    slow("stalled body", stall_in_body),
    slow("slow body", drip_body),
    slow("endless interim responses", endless_interim),
    fine("some interim responses", some_interim),
    # Malformed HTTP
    lost("not HTTP", E.MalformedResponseError, raw(b"SSH-2.0-OpenSSH_9.6\r\n")),
    lost("bad status line", E.MalformedResponseError, raw(b"HTTP/1.1 OK 200\r\n\r\n")),
    lost("huge header", E.MalformedResponseError, raw(b"HTTP/1.1 200 OK\r\nX-Big: " + b"x" * 20000 + b"\r\n\r\n")),
    lost(
        "two lengths",
        E.MalformedResponseError,
        framed(headers=b"Content-Length: 30\r\nContent-Length: 31", body=VALID),
    ),
    lost("negative length", E.MalformedResponseError, framed(headers=b"Content-Length: -1", body=VALID)),
    lost(
        "bad chunk size", E.MalformedResponseError, framed(headers=b"Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n")
    ),
    # Responses without a result
    broken("101", raw(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")),
    broken("204", raw(b"HTTP/1.1 204 No Content\r\n\r\n")),
    broken("205", raw(b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n")),
    broken("empty", response(200)),
    broken("HTML", response(200, b"<!doctype html><title>Sign in</title>", Content_Type="text/html")),
    broken("truncated JSON", response(200, b'{"data": {"deployment"')),
    broken("trailing text", encoded(lambda body: body + b" x")),
    broken("bad UTF-8", raw_id(b'"\xff"')),
    broken("byte order mark", encoded(lambda body: b"\xef\xbb\xbf" + body)),
    broken("NaN for a string", raw_id(b"NaN")),
    broken("Infinity for a string", raw_id(b"-Infinity")),
    broken("5,000 digits", raw_extra(b"7" * 5000)),
    broken("100,000 levels", response(200, json_bomb(100_000))),
    broken("lone surrogate", raw_id(b'"\\ud800"')),
    broken("a list", response(200, [{"data": None}])),
    broken("a number", response(200, 5)),
    broken("a string", response(200, "data")),
    broken("null", response(200, b"null")),
    broken("data is a number", response(200, {"data": 5})),
    broken("data is a list", response(200, {"data": [1]})),
    broken("errors is a string", response(200, {"errors": "boom"})),
    broken("errors is an object", response(200, {"errors": {"message": "boom"}})),
    broken("errors of strings", response(200, {"errors": ["boom"]})),
    broken("neither data nor errors", response(200, {"extensions": {}})),
    broken("data null", response(200, {"data": None})),
    broken("data null, empty errors", response(200, {"data": None, "errors": []})),
    broken("data without the field", response(200, {"data": {}})),
    broken("null in a required field", wrong(id=None)),
    broken("wrong type", wrong(id=5)),
    Fault(
        "response about another id",
        wrong(id=OTHER_ID),
        Outcome(E.MalformedResponseError, 2),
        Outcome(E.OutcomeUnknownError, 2, "unknown"),
        temporary=False,
        overrides={"create": Outcome(None, 1, id=OTHER_ID)},
    ),
    fine("unknown fields", with_extras),
    # Compression and size
    fine("gzip", encoded(gzip.compress, Content_Encoding="gzip")),
    fine("deflate", encoded(zlib.compress, Content_Encoding="deflate")),
    broken("bad gzip", response(200, b"no gzip at all", Content_Encoding="gzip")),
    broken(
        "gzip with trailing bytes",
        encoded(lambda body: gzip.compress(body) + b"\x1f\x8btrailing", Content_Encoding="gzip"),
    ),
    broken("unknown encoding", response(200, zlib.compress(VALID), Content_Encoding="rot13")),
    broken("gzip bomb", response(200, bomb(20_000_000), Content_Encoding="gzip"), E.ResponseTooLargeError),
    broken("huge body", response(200, b" " * 2_000_000), E.ResponseTooLargeError),
    broken("endless body", endless_body, E.ResponseTooLargeError),
    # Redirects
    *(
        final(f"{status}", E.RedirectError, response(status, Location="/elsewhere"))
        for status in (301, 302, 303, 307, 308)
    ),
    final("redirect to nowhere", E.RedirectError, response(302)),
    # GraphQL errors
    final("UNAUTHENTICATED", E.AuthenticationError, graphql_error("UNAUTHENTICATED")),
    final("FORBIDDEN", E.PermissionDeniedError, graphql_error("FORBIDDEN")),
    final("NOT_FOUND", E.NotFoundError, graphql_error("NOT_FOUND")),
    final("CONFLICT", E.ConflictError, graphql_error("CONFLICT")),
    rejected("BAD_USER_INPUT", graphql_error("BAD_USER_INPUT")),
    too_much("BUDGET_EXCEEDED", graphql_error("BUDGET_EXCEEDED", 400)),
    final("GRAPHQL_VALIDATION_FAILED", E.BadRequestError, graphql_error("GRAPHQL_VALIDATION_FAILED", 400)),
    final("INSUFFICIENT_STORAGE", E.ServerError, graphql_error("INSUFFICIENT_STORAGE")),
    *(
        final(code, E.BadRequestError, graphql_error(code))
        for code in (
            "GRAPHQL_PARSE_FAILED",
            "OPERATION_RESOLUTION_FAILURE",
            "PERSISTED_QUERY_NOT_FOUND",
            "PERSISTED_QUERY_NOT_SUPPORTED",
        )
    ),
    rejected("BAD_REQUEST", graphql_error("BAD_REQUEST")),
    unsent("RATE_LIMITED", E.RateLimitError, graphql_error("RATE_LIMITED")),
    unsent("retryable", E.ServerError, graphql_error("SERVICE_UNAVAILABLE", 503, retryable=True)),
    doubtful("unknown code", E.ServerError, graphql_error("TEAPOT")),
    doubtful("no code", E.ServerError, graphql_error(None)),
    doubtful("extensions is a string", E.ServerError, response(200, {"errors": [{"message": 5, "extensions": "x"}]})),
    doubtful("a thousand errors", E.ServerError, response(200, {"errors": [{"message": "x" * 500}] * 1000})),
    Fault(
        "partial data",
        partial,
        Outcome(E.PartialResultError, 1),
        Outcome(E.PartialResultError, 1, "yes"),
        temporary=False,
    ),
    Fault(
        "partial data, 294",
        partial_294,
        Outcome(E.PartialResultError, 1),
        Outcome(E.PartialResultError, 1, "yes"),
        temporary=False,
    ),
    final("null with an error", E.PermissionDeniedError, null_with_error),
    rejected("request repeated in the error", echo),
    # HTTP statuses
    rejected("400", response(400)),
    final("401", E.AuthenticationError, response(401, b"<html>", Content_Type="text/html")),
    final("402", E.APIStatusError, response(402)),
    final("403", E.PermissionDeniedError, response(403)),
    final("404", E.EndpointNotFoundError, response(404, b"<html>")),
    final("404 of GraphQL", E.EndpointNotFoundError, graphql_error("NOT_FOUND", 404)),
    final("405", E.APIStatusError, response(405)),
    lost("408", E.APIStatusError, response(408, Connection="close")),
    final("409", E.ConflictError, response(409)),
    final("413", E.BadRequestError, response(413)),
    rejected("422", response(422)),
    lost("425", E.APIStatusError, response(425)),
    unsent("429", E.RateLimitError, response(429, Retry_After="0")),
    unsent("429, Retry-After in the past", E.RateLimitError, response(429, Retry_After="Sun Nov  6 08:49:37 1994")),
    unsent("429, invalid Retry-After", E.RateLimitError, response(429, Retry_After="-3, soon")),
    final("429, Retry-After beyond the deadline", E.RateLimitError, response(429, Retry_After="60")),
    final("429, huge Retry-After", E.RateLimitError, response(429, Retry_After="9" * 12)),
    lost("500", E.ServerError, response(500)),
    lost("500 of GraphQL", E.ServerError, graphql_error("INTERNAL_SERVER_ERROR", 500)),
    lost("500 with data", E.ServerError, data_beside_500),
    doubtful("501", E.APIStatusError, response(501)),
    lost("502", E.APIStatusError, response(502, b"<html>Bad Gateway</html>", Content_Type="text/html")),
    lost("503", E.ServerError, response(503)),
    lost("503 of GraphQL", E.ServerError, graphql_error("SERVICE_UNAVAILABLE", 503)),
    lost("503, Retry-After date by another clock", E.ServerError, retry_after_date(0)),
    Fault(
        "503, Retry-After date beyond the deadline",
        retry_after_date(3600),
        Outcome(E.ServerError, 1),
        Outcome(E.OutcomeUnknownError, 1, "unknown"),
        temporary=False,
    ),
    lost("504", E.APIStatusError, response(504)),
    doubtful("520", E.APIStatusError, response(520)),
]
