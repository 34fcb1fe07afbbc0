"""The faults, and what the client has to make of each: one line a fault."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from tests.faults.behaviours import (
    bomb,
    data_beside_500,
    deflated,
    drip_body,
    drip_headers,
    echo,
    endless_body,
    endless_interim,
    framed,
    graphql_error,
    gzipped,
    json_bomb,
    never_answer,
    never_read,
    null_with_error,
    partial,
    partial_294,
    raw,
    reply,
    reset_while_sending,
    retry_after_date,
    slam,
    some_interim,
    stall_in_body,
    vanish,
    with_extras,
    wrong,
)
from tests.faults.server import OTHER_ID, Behaviour, Exchange

from paperspace.gradient import errors

MAX_RETRIES = 2
SENDS = MAX_RETRIES + 1
OPERATIONS = ("get", "create", "update", "delete")

Executed = Literal["no", "yes", "unknown"]


class Outcome(NamedTuple):
    """What a call comes to: an error (None: it succeeds), and how often it was sent."""

    error: type[errors.GradientError] | None
    sends: int
    executed: Executed = "no"


@dataclass
class Fault:
    """A way to fail, and what a read and a change come to if it stays, or if it passes after once."""

    name: str
    behaviour: Behaviour
    read: Outcome
    change: Outcome
    passes: bool = True
    timeout: float = 5.0
    overrides: dict[str, Outcome] = field(default_factory=dict)

    def outcome(self, operation: str) -> Outcome:
        return self.overrides.get(operation, self.read if operation == "get" else self.change)


# What faults come to, by their kind; the same words as in `retry.FailureKind`.


def lost(name: str, error: type[errors.APIError], behaviour: Behaviour, **more: Any) -> Fault:
    change = Outcome(errors.OutcomeUnknownError, SENDS, "unknown")
    return Fault(name, behaviour, Outcome(error, SENDS), change, **more)


def broken(name: str, behaviour: Behaviour, error: type[errors.APIError] = errors.MalformedResponseError) -> Fault:
    return Fault(name, behaviour, Outcome(error, 2), Outcome(errors.OutcomeUnknownError, 2, "unknown"))


def final(name: str, error: type[errors.APIError], behaviour: Behaviour, **more: Any) -> Fault:
    return Fault(name, behaviour, Outcome(error, 1), Outcome(error, 1), passes=False, **more)


def doubtful(name: str, error: type[errors.APIError], behaviour: Behaviour) -> Fault:
    return Fault(name, behaviour, Outcome(error, 1), Outcome(error, 1, "unknown"), passes=False)


def unsent(name: str, error: type[errors.APIError], behaviour: Behaviour, **more: Any) -> Fault:
    return Fault(name, behaviour, Outcome(error, SENDS), Outcome(error, SENDS), **more)


def slow(name: str, behaviour: Behaviour) -> Fault:
    change = Outcome(errors.OutcomeUnknownError, 1, "unknown")
    return Fault(name, behaviour, Outcome(errors.APITimeoutError, 1), change, passes=False, timeout=0.3)


def fine(name: str, behaviour: Behaviour) -> Fault:
    return Fault(name, behaviour, Outcome(None, 1), Outcome(None, 1), passes=False)


E = errors
VALID = json.dumps({"data": {"deployment": None}}).encode()

FAULTS = [
    # Connections
    lost("closed on accept", E.APIConnectionError, vanish),
    lost("reset without reading", E.APIConnectionError, slam),
    lost("reset while sending", E.APIConnectionError, reset_while_sending),
    lost("closed before the answer", E.APIConnectionError, raw(b"")),
    lost("reset before the answer", E.APIConnectionError, raw(b"", Exchange.reset)),
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
    slow("nothing is read", never_read),
    slow("no answer", never_answer),
    slow("headers drip", drip_headers),
    slow("body stalls", stall_in_body),
    slow("body drips", drip_body),
    slow("endless interim answers", endless_interim),
    fine("some interim answers", some_interim),
    # HTTP that is none
    lost("no HTTP", E.MalformedResponseError, raw(b"SSH-2.0-OpenSSH_9.6\r\n")),
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
    # Answers without a result
    broken("101", raw(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")),
    broken("204", raw(b"HTTP/1.1 204 No Content\r\n\r\n")),
    broken("205", raw(b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n")),
    broken("empty", reply(200)),
    broken("HTML", reply(200, b"<!doctype html><title>Sign in</title>", Content_Type="text/html")),
    broken("cut JSON", reply(200, b'{"data": {"deployment"')),
    broken("trailing text", reply(200, VALID + b" x")),
    broken("bad UTF-8", reply(200, b'{"data": {"deployment": "\xff"}}')),
    broken("byte order mark", reply(200, b"\xef\xbb\xbf" + VALID)),
    broken("NaN", reply(200, b'{"data": {"deployment": NaN}}')),
    broken("Infinity", reply(200, b'{"data": {"deployment": -Infinity}}')),
    broken("5,000 digits", reply(200, b'{"data": {"deployment": ' + b"7" * 5000 + b"}}")),
    broken("100,000 levels", reply(200, json_bomb(100_000))),
    broken("half a character", reply(200, b'{"data": {"deployment": "\\ud800"}}')),
    broken("a list", reply(200, [{"data": None}])),
    broken("a number", reply(200, 5)),
    broken("a string", reply(200, "data")),
    broken("null", reply(200, b"null")),
    broken("data is a number", reply(200, {"data": 5})),
    broken("data is a list", reply(200, {"data": [1]})),
    broken("errors is a string", reply(200, {"errors": "boom"})),
    broken("errors is an object", reply(200, {"errors": {"message": "boom"}})),
    broken("errors of strings", reply(200, {"errors": ["boom"]})),
    broken("neither", reply(200, {"extensions": {}})),
    broken("data null", reply(200, {"data": None})),
    broken("data null, no errors listed", reply(200, {"data": None, "errors": []})),
    broken("data without the field", reply(200, {"data": {}})),
    broken("null where none may be", wrong(id=None)),
    broken("wrong type", wrong(id=5)),
    Fault(
        "the answer to another id",
        wrong(id=OTHER_ID),
        Outcome(E.MalformedResponseError, 2),
        Outcome(E.OutcomeUnknownError, 2, "unknown"),
        passes=False,
        overrides={"create": Outcome(None, 1)},
    ),
    fine("more than was asked for", with_extras),
    # Compression and size
    fine("gzip", gzipped),
    fine("deflate", deflated),
    broken("bad gzip", reply(200, b"no gzip at all", Content_Encoding="gzip")),
    broken("gzip with rubbish behind", reply(200, gzip.compress(VALID) + b"\x1f\x8brubbish", Content_Encoding="gzip")),
    broken("unknown encoding", reply(200, zlib.compress(VALID), Content_Encoding="rot13")),
    broken("gzip bomb", reply(200, bomb(20_000_000), Content_Encoding="gzip"), E.ResponseTooLargeError),
    broken("huge body", reply(200, b" " * 2_000_000), E.ResponseTooLargeError),
    broken("endless body", endless_body, E.ResponseTooLargeError),
    # Redirects
    *(
        final(f"{status}", E.RedirectError, reply(status, Location="/elsewhere"))
        for status in (301, 302, 303, 307, 308)
    ),
    final("redirect to nowhere", E.RedirectError, reply(302)),
    # Errors of GraphQL
    final("UNAUTHENTICATED", E.AuthenticationError, graphql_error("UNAUTHENTICATED")),
    final("FORBIDDEN", E.PermissionDeniedError, graphql_error("FORBIDDEN")),
    final("NOT_FOUND", E.NotFoundError, graphql_error("NOT_FOUND")),
    final("CONFLICT", E.ConflictError, graphql_error("CONFLICT")),
    final("BAD_USER_INPUT", E.BadRequestError, graphql_error("BAD_USER_INPUT")),
    final("GRAPHQL_VALIDATION_FAILED", E.BadRequestError, graphql_error("GRAPHQL_VALIDATION_FAILED", 400)),
    final("INSUFFICIENT_STORAGE", E.ServerError, graphql_error("INSUFFICIENT_STORAGE")),
    unsent("RATE_LIMITED", E.RateLimitError, graphql_error("RATE_LIMITED")),
    unsent("retryable", E.ServerError, graphql_error("SERVICE_UNAVAILABLE", 503, retryable=True)),
    doubtful("a code of its own", E.ServerError, graphql_error("TEAPOT")),
    doubtful("no code", E.ServerError, graphql_error(None)),
    doubtful("extensions is a string", E.ServerError, reply(200, {"errors": [{"message": 5, "extensions": "x"}]})),
    doubtful("a thousand errors", E.ServerError, reply(200, {"errors": [{"message": "x" * 500}] * 1000})),
    Fault(
        "partial data",
        partial,
        Outcome(E.PartialResultError, 1),
        Outcome(E.PartialResultError, 1, "yes"),
        passes=False,
    ),
    Fault(
        "partial data, 294",
        partial_294,
        Outcome(E.PartialResultError, 1),
        Outcome(E.PartialResultError, 1, "yes"),
        passes=False,
    ),
    final("null with an error", E.PermissionDeniedError, null_with_error),
    final("the request echoed", E.BadRequestError, echo),
    # HTTP statuses
    final("400", E.BadRequestError, reply(400)),
    final("401", E.AuthenticationError, reply(401, b"<html>", Content_Type="text/html")),
    final("402", E.APIStatusError, reply(402)),
    final("403", E.PermissionDeniedError, reply(403)),
    final("404", E.EndpointNotFoundError, reply(404, b"<html>")),
    final("404 of GraphQL", E.EndpointNotFoundError, graphql_error("NOT_FOUND", 404)),
    final("405", E.APIStatusError, reply(405)),
    lost("408", E.APIStatusError, reply(408, Connection="close")),
    final("409", E.ConflictError, reply(409)),
    final("413", E.BadRequestError, reply(413)),
    final("422", E.BadRequestError, reply(422)),
    lost("425", E.APIStatusError, reply(425)),
    unsent("429", E.RateLimitError, reply(429, Retry_After="0")),
    unsent("429, Retry-After in the past", E.RateLimitError, reply(429, Retry_After="Sun Nov  6 08:49:37 1994")),
    unsent("429, Retry-After of no use", E.RateLimitError, reply(429, Retry_After="-3, soon")),
    final("429, Retry-After beyond the deadline", E.RateLimitError, reply(429, Retry_After="60")),
    final("429, Retry-After without end", E.RateLimitError, reply(429, Retry_After="9" * 12)),
    lost("500", E.ServerError, reply(500)),
    lost("500 of GraphQL", E.ServerError, graphql_error("INTERNAL_SERVER_ERROR", 500)),
    lost("500 with data", E.ServerError, data_beside_500),
    doubtful("501", E.APIStatusError, reply(501)),
    lost("502", E.APIStatusError, reply(502, b"<html>Bad Gateway</html>", Content_Type="text/html")),
    lost("503", E.ServerError, reply(503)),
    lost("503 of GraphQL", E.ServerError, graphql_error("SERVICE_UNAVAILABLE", 503)),
    lost("503, Retry-After by another clock", E.ServerError, retry_after_date(0)),
    Fault(
        "503, Retry-After date beyond the deadline",
        retry_after_date(3600),
        Outcome(E.ServerError, 1),
        Outcome(E.OutcomeUnknownError, 1, "unknown"),
        passes=False,
    ),
    lost("504", E.APIStatusError, reply(504)),
    doubtful("520", E.APIStatusError, reply(520)),
]
