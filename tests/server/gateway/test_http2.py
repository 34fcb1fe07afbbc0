"""Containers that speak HTTP/2, and gRPC as its most demanding user."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest
from tests.server.gateway.site import Replica, Visitor

from paperspace.gradient.server.controller import http_checks
from paperspace.gradient.server.controller.checks import Request, Result
from paperspace.gradient.server.controller.gateway import Target
from paperspace.gradient.server.gateway.gateway import EnvoyGateway

pytestmark = pytest.mark.anyio


class Echo(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc is not typed
    """A service with one bidirectional method: it sends back each message, with the name of its replica."""

    def __init__(self, name: str) -> None:
        self.name = name

    def service(self, _details: object) -> object:
        return grpc.stream_stream_rpc_method_handler(self._echo)

    async def _echo(self, messages: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
        async for message in messages:
            yield self.name.encode() + b" " + message


@asynccontextmanager
async def grpc_replica(name: str) -> AsyncIterator[Target]:
    """Run a gRPC server."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([Echo(name)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield Target(port, "http2")
    finally:
        await server.stop(None)


@asynccontextmanager
async def calling(
    gateway: EnvoyGateway, deployment_id: str, metadata: Sequence[tuple[str, str]] = ()
) -> AsyncIterator[grpc.aio.StreamStreamCall]:
    """Start a call of the method of a deployment, which is selected by the authority alone."""
    options = [("grpc.default_authority", f"d{deployment_id}.localhost:{gateway._port}"), ("grpc.enable_retries", 0)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway._port}", options=options) as channel:
        yield channel.stream_stream("/test.Echo/Echo")(timeout=30, metadata=metadata)


async def exchange(call: grpc.aio.StreamStreamCall, message: bytes) -> bytes:
    """Send a message; return the next one that is received."""
    await call.write(message)
    return bytes(await call.read())


async def test_bidirectional_grpc(gateway: EnvoyGateway) -> None:
    """Both sides of a gRPC call send when they want, through the host of the deployment."""
    async with grpc_replica("a") as target:
        await gateway.route("x", "a", target)
        async with calling(gateway, "x") as call:
            for number in range(3):
                assert await exchange(call, str(number).encode()) == b"a %d" % number
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF
            assert await call.code() is grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("exposed", "code"), [(True, grpc.StatusCode.UNAVAILABLE), (False, grpc.StatusCode.UNIMPLEMENTED)]
)
async def test_responses_of_the_gateway(gateway: EnvoyGateway, exposed: bool, code: grpc.StatusCode) -> None:
    """The responses of the gateway itself are gRPC errors for a gRPC client."""
    if exposed:
        await gateway.expose("x")
    async with calling(gateway, "x") as call:
        assert await call.code() is code


async def test_call_counts_as_active(gateway: EnvoyGateway) -> None:
    """A replica with an open call is not drained; the call goes on, and new calls use the other replica."""
    async with grpc_replica("a") as a, grpc_replica("b") as b:
        await gateway.route("x", "a", a)
        async with calling(gateway, "x") as call:
            assert await exchange(call, b"1") == b"a 1"
            await gateway.route("x", "b", b)
            await gateway.unroute("x", "a")
            drained = asyncio.create_task(gateway.drained("x", "a"))
            async with calling(gateway, "x") as other:
                assert await exchange(other, b"1") == b"b 1"
            assert await exchange(call, b"2") == b"a 2"
            assert not drained.done()
            await call.done_writing()
            await drained


async def test_http_1_client(gateway: EnvoyGateway, visitor: Visitor) -> None:
    """A client with HTTP/1.1 reaches a container with HTTP/2."""
    async with grpc_replica("a") as target:
        await gateway.route("x", "a", target)
        headers = {"Content-Type": "application/grpc", "TE": "trailers"}
        async with visitor.session.post(visitor.url("/endpoints/x/test.Echo/Echo"), headers=headers) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "application/grpc"


async def test_change_of_the_protocol(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """When a revision has another protocol, each request goes to a replica in the replica's protocol: none is lost."""
    headers = {"Content-Type": "application/grpc", "TE": "trailers"}
    responses: set[tuple[int, str, str]] = set()
    stopping = False

    async def send() -> None:
        while not stopping:
            async with visitor.session.post(visitor.url("/endpoints/x/test.Echo/Echo"), headers=headers) as response:
                grpc_status = response.headers.get("grpc-status", "0")  # of a replica, or of the gateway itself
                responses.add((response.status, response.headers["Content-Type"], grpc_status))

    async with grpc_replica("b") as b:
        await gateway.route("x", "a0", replicas[0].target)
        senders = [asyncio.create_task(send()) for _ in range(4)]
        for number in range(8):
            # At once, so that both are applied in one step.
            await asyncio.gather(gateway.route("x", f"b{number}", b), gateway.unroute("x", f"a{number}"))
            await gateway.drained("x", f"a{number}")
            await gateway.forget_instance("x", f"a{number}")
            new = f"a{number + 1}"
            await asyncio.gather(gateway.route("x", new, replicas[0].target), gateway.unroute("x", f"b{number}"))
            await gateway.drained("x", f"b{number}")
            await gateway.forget_instance("x", f"b{number}")
        stopping = True
        await asyncio.gather(*senders)
    assert responses == {(200, "application/grpc", "0"), (200, "application/json; charset=utf-8", "0")}


async def test_health_checks(gateway: EnvoyGateway) -> None:
    """A health check over HTTP/2 reads the status of a real server: of Envoy. A gRPC server resets such a request."""
    request = Request("/endpoints/d1/a?b", 80, headers=(("X-Check", "x" * 300),))
    not_found = await http_checks.attempt(request, gateway._port, 20, http2=True)
    await gateway.expose("d1")
    unavailable = await http_checks.attempt(request, gateway._port, 20, http2=True)
    async with grpc_replica("a") as target:
        result = await http_checks.attempt(request, target.port, 20, http2=True)
    path = "GET /endpoints/d1/a"
    assert (not_found, unavailable) == (Result(False, f"{path} returned 404"), Result(False, f"{path} returned 503"))
    assert result == Result(False, f"{path} failed, the connection was closed")
