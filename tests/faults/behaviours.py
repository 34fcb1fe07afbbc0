"""Behaviours of a faulty server, and some unusual but valid ones."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from tests.faults.server import ID, Behaviour, Exchange, early, good, good_data


def raw(data: bytes, end: Callable[[Exchange], None] = Exchange.close) -> Behaviour:
    async def behaviour(exchange: Exchange) -> None:
        await exchange.write(data)
        end(exchange)

    return behaviour


def response(status: int = 200, body: Any = b"", **headers: str) -> Behaviour:
    async def behaviour(exchange: Exchange) -> None:
        await exchange.respond(status, body, **headers)

    return behaviour


def changed(change: Callable[[dict[str, Any]], Any]) -> Behaviour:
    """Send the correct response with a change in its deployment."""

    async def behaviour(exchange: Exchange) -> None:
        data = good_data(exchange.request)
        holder = next(iter(data.values()))
        change(holder if exchange.request.operation == "Deployment" else holder["deployment"])
        await exchange.respond(body={"data": data})

    return behaviour


def graphql_error(code: str | None, status: int = 200, **extensions: Any) -> Behaviour:
    error = {"message": "Message of the server.", "extensions": {"code": code, **extensions}}
    return response(status, {"errors": [error if code else {"message": "Message of the server."}]})


def framed(*, headers: bytes, body: bytes) -> Behaviour:
    """Send a response with these framing headers, whatever the body is."""
    return raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + headers + b"\r\n\r\n" + body)


def json_bomb(depth: int) -> bytes:
    return b'{"data": ' + b"[" * depth + b"]" * depth + b"}"


def bomb(size: int) -> bytes:
    return gzip.compress(b'{"data": "' + b"0" * size + b'"}')


@early
async def close_on_accept(exchange: Exchange) -> None:
    exchange.close()


@early
async def reset_on_accept(exchange: Exchange) -> None:
    await asyncio.sleep(0.02)  # earlier, the client may still be connecting, which is another fault
    exchange.reset()


@early
async def reset_while_sending(exchange: Exchange) -> None:
    await exchange.reader.readexactly(20)
    exchange.reset()


@early
async def never_read(exchange: Exchange) -> None:
    exchange.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(60)


async def never_respond(exchange: Exchange) -> None:
    await exchange.hang_up()


async def respond_late(exchange: Exchange) -> None:
    await asyncio.sleep(0.3)
    await good(exchange)


async def drip_headers(exchange: Exchange) -> None:
    await exchange.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        await exchange.write(b"X-More: 1\r\n")
        await asyncio.sleep(0.05)


async def stall_in_body(exchange: Exchange) -> None:
    await exchange.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"data"')
    await exchange.hang_up()


async def drip_body(exchange: Exchange) -> None:
    await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        await exchange.write(b" ")
        await asyncio.sleep(0.02)


async def endless_interim(exchange: Exchange) -> None:
    while True:
        await exchange.write(b"HTTP/1.1 102 Processing\r\n\r\n" * 10)
        await asyncio.sleep(0.01)


async def some_interim(exchange: Exchange) -> None:
    await exchange.write(b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 20)
    await exchange.respond(body={"data": good_data(exchange.request)})


async def endless_body(exchange: Exchange) -> None:
    await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        await exchange.write(b" " * 65536)


async def partial(exchange: Exchange) -> None:
    await exchange.respond(body={"data": good_data(exchange.request), "errors": [{"message": "half"}]})


async def partial_294(exchange: Exchange) -> None:
    await exchange.respond(294, {"data": good_data(exchange.request), "errors": [{"message": "half"}]})


async def null_with_error(exchange: Exchange) -> None:
    data = dict.fromkeys(good_data(exchange.request))
    await exchange.respond(body={"data": data, "errors": [{"message": "x", "extensions": {"code": "FORBIDDEN"}}]})


async def with_extras(exchange: Exchange) -> None:
    data = good_data(exchange.request)
    next(iter(data.values()))["__typename"] = "Surprise"
    await exchange.respond(body={"data": {**data, "new": 1}, "extensions": {"cost": 3}, "errors": []}, Set_Cookie="a=b")


async def data_beside_500(exchange: Exchange) -> None:
    await exchange.respond(500, {"data": good_data(exchange.request)})


def encoded(encode: Callable[[bytes], bytes], **headers: str) -> Behaviour:
    """Send the correct response with its body changed by a function."""

    async def behaviour(exchange: Exchange) -> None:
        body = json.dumps({"data": good_data(exchange.request)}).encode()
        await exchange.respond(200, encode(body), **headers)

    return behaviour


def raw_id(text: bytes) -> Behaviour:
    """Send the correct response with this JSON text instead of the id of the deployment."""
    return encoded(lambda body: body.replace(b'"%s"' % ID.encode(), text))


def raw_extra(text: bytes) -> Behaviour:
    """Send the correct response with this JSON text as the value of an unknown field."""
    return encoded(lambda body: body[:-1] + b', "extensions": ' + text + b"}")


async def echo(exchange: Exchange) -> None:
    """Repeat the headers of the request in the error, the API key included, as a debugging proxy does."""
    sent = exchange.request.headers
    await exchange.respond(400, {"errors": [{"message": f"Bad request: {sent}"}]})


def wrong(**values: Any) -> Behaviour:
    """Send the correct response with these values in its deployment."""
    return changed(lambda node: node.update(values))


def retry_after_date(seconds: float) -> Behaviour:
    """Respond with a Retry-After date by a clock that is a day ahead."""
    clock = datetime.now(UTC) + timedelta(days=1)
    moment = format_datetime(clock + timedelta(seconds=seconds), usegmt=True)
    return response(503, Retry_After=moment, Date=format_datetime(clock, usegmt=True))
