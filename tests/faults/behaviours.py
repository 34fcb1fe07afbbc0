"""The ways in which a server fails its clients."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from tests.faults.server import Behaviour, Exchange, early, good_data


def raw(data: bytes, end: Callable[[Exchange], None] = Exchange.close) -> Behaviour:
    async def behaviour(exchange: Exchange) -> None:
        await exchange.write(data)
        end(exchange)

    return behaviour


def reply(status: int = 200, body: Any = b"", **headers: str) -> Behaviour:
    async def behaviour(exchange: Exchange) -> None:
        await exchange.reply(status, body, **headers)

    return behaviour


def altered(change: Callable[[dict[str, Any]], Any]) -> Behaviour:
    """The right answer with something changed in the one object that it is about."""

    async def behaviour(exchange: Exchange) -> None:
        data = good_data(exchange.request)
        holder = next(iter(data.values()))
        change(holder if exchange.request.operation == "Deployment" else holder["deployment"])
        await exchange.reply(body={"data": data})

    return behaviour


def graphql_error(code: str | None, status: int = 200, **extensions: Any) -> Behaviour:
    error = {"message": "Words of the server.", "extensions": {"code": code, **extensions}}
    return reply(status, {"errors": [error if code else {"message": "Words of the server."}]})


def framed(*, headers: bytes, body: bytes) -> Behaviour:
    """An answer whose framing is written by hand."""
    return raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + headers + b"\r\n\r\n" + body)


def json_bomb(depth: int) -> bytes:
    return b'{"data": ' + b"[" * depth + b"]" * depth + b"}"


def bomb(size: int) -> bytes:
    return gzip.compress(b'{"data": "' + b"0" * size + b'"}')


@early
async def vanish(exchange: Exchange) -> None:
    exchange.close()


@early
async def slam(exchange: Exchange) -> None:
    await asyncio.sleep(0.02)  # sooner, and the client may meet it while it still connects, which is another fault
    exchange.reset()


@early
async def reset_while_sending(exchange: Exchange) -> None:
    await exchange.reader.readexactly(20)
    exchange.reset()


@early
async def never_read(_exchange: Exchange) -> None:
    await asyncio.sleep(60)


async def never_answer(_exchange: Exchange) -> None:
    await asyncio.sleep(60)


async def drip_headers(exchange: Exchange) -> None:
    await exchange.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        await exchange.write(b"X-More: 1\r\n")
        await asyncio.sleep(0.05)


async def stall_in_body(exchange: Exchange) -> None:
    await exchange.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"data"')
    await asyncio.sleep(60)


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
    await exchange.reply(body={"data": good_data(exchange.request)})


async def endless_body(exchange: Exchange) -> None:
    await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        await exchange.write(b" " * 65536)


async def partial(exchange: Exchange) -> None:
    await exchange.reply(body={"data": good_data(exchange.request), "errors": [{"message": "half"}]})


async def partial_294(exchange: Exchange) -> None:
    await exchange.reply(294, {"data": good_data(exchange.request), "errors": [{"message": "half"}]})


async def null_with_error(exchange: Exchange) -> None:
    data = dict.fromkeys(good_data(exchange.request))
    await exchange.reply(body={"data": data, "errors": [{"message": "x", "extensions": {"code": "FORBIDDEN"}}]})


async def with_extras(exchange: Exchange) -> None:
    data = good_data(exchange.request)
    next(iter(data.values()))["__typename"] = "Surprise"
    await exchange.reply(body={"data": {**data, "new": 1}, "extensions": {"cost": 3}, "errors": []}, Set_Cookie="a=b")


async def data_beside_500(exchange: Exchange) -> None:
    await exchange.reply(500, {"data": good_data(exchange.request)})


async def gzipped(exchange: Exchange) -> None:
    content = gzip.compress(json.dumps({"data": good_data(exchange.request)}).encode())
    await exchange.reply(body=content, Content_Encoding="gzip")


async def deflated(exchange: Exchange) -> None:
    content = zlib.compress(json.dumps({"data": good_data(exchange.request)}).encode())
    await exchange.reply(body=content, Content_Encoding="deflate")


async def echo(exchange: Exchange) -> None:
    """A debugging proxy that answers with what it was sent, the key included."""
    sent = exchange.request.headers
    await exchange.reply(400, {"errors": [{"message": f"Bad request: {sent}"}]})


def wrong(**values: Any) -> Behaviour:
    return altered(lambda node: node.update(values))


def retry_after_date(seconds: float) -> Behaviour:
    """A Retry-After date, by a clock that is a day ahead."""
    clock = datetime.now(UTC) + timedelta(days=1)
    later = format_datetime(clock + timedelta(seconds=seconds), usegmt=True)
    return reply(503, Retry_After=later, Date=format_datetime(clock, usegmt=True))
