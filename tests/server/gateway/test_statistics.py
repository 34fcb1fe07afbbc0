"""The requests of deployments, counted by a real Envoy."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientError
from tests.server.gateway.site import LONG, Replica, Visitor, visiting

from paperspace.gradient.server.controller.gateway import GatewayUnavailableError
from paperspace.gradient.server.gateway.gateway import EnvoyGateway
from paperspace.gradient.server.gateway.statistics import count, parse
from paperspace.gradient.server.usage import NO_TRAFFIC, Traffic, percentile

pytestmark = pytest.mark.anyio

ONE, TWO, THREE = (Traffic(requests=number) for number in (1, 2, 3))


async def traffic(gateway: EnvoyGateway, deployment_id: str = "x") -> Traffic:
    return (await gateway.statistics()).traffic[deployment_id]


async def test_requests_are_counted(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """Each deployment has the number of its requests, of those that failed, and their durations."""
    await gateway.route("x", "a", replicas[0].target)
    await gateway.route("y", "b", replicas[1].target)
    assert (await gateway.statistics()).traffic == {"x": NO_TRAFFIC, "y": NO_TRAFFIC}
    for query in ("status=200", "status=404", "status=500", "status=503"):
        await visitor.send(f"/endpoints/x/?{query}", "POST")
    await visitor.send("/endpoints/x/?seconds=0.3")
    await visitor.send("/endpoints/y/")
    counted = await traffic(gateway)
    assert (counted.requests, counted.errors, counted.timed) == (5, 2, 5)
    assert 0.3 < counted.seconds < LONG
    assert (await traffic(gateway, "y")).requests == 1
    longest = percentile(counted.durations, 1.0)
    assert longest is not None
    assert longest >= 0.25


async def test_the_host_of_an_endpoint_counts_too(
    gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]
) -> None:
    """Requests by host and by path are added up."""
    await gateway.route("x", "a", replicas[0].target)
    await gateway.statistics()
    await visitor.send("/endpoints/x/")
    await visitor.send("/", headers={"Host": "dx.localhost"})
    assert (await traffic(gateway)).requests == 2


async def test_no_replica(gateway: EnvoyGateway, visitor: Visitor) -> None:
    """A request that no replica can serve is an error of the deployment."""
    await gateway.expose("x")
    await gateway.statistics()
    assert (await visitor.send("/endpoints/x/"))[0] == 503
    counted = await traffic(gateway)
    assert (counted.requests, counted.errors) == (1, 1)


async def test_active_requests(gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]) -> None:
    """Each replica has the number of its active requests."""
    await gateway.route("x", "a", replicas[0].target)
    assert (await gateway.statistics()).active == {"a": 0}
    async with asyncio.TaskGroup() as group:
        group.create_task(visitor.send("/endpoints/x/?seconds=0.5"))
        async with asyncio.timeout(LONG):
            while (await gateway.statistics()).active != {"a": 1}:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_removed_deployment_leaves_nothing(
    gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]
) -> None:
    """The counters of removed deployments are used again: they do not pile up, and a new one starts at zero."""
    names: set[str] = set()
    for number in range(5):
        id_ = f"d{number}"
        await gateway.route(id_, "a", replicas[0].target)
        assert (await gateway.statistics()).traffic == {id_: NO_TRAFFIC}
        await visitor.send(f"/endpoints/{id_}/")
        await visitor.send("/", headers={"Host": f"d{id_}.localhost"})
        assert (await traffic(gateway, id_)).requests == 2
        await gateway.forget(id_)
        assert (await gateway.statistics()).traffic == {}
        names |= {line.partition("{")[2].partition("}")[0] for line in await lines(gateway) if "_time_sum" in line}
    assert names == {'envoy_virtual_host="s0",envoy_route="s0"', 'envoy_virtual_host="*",envoy_route="s0"'}


async def lines(gateway: EnvoyGateway) -> list[str]:
    return (await gateway._envoy.admin.request_counters()).splitlines()


async def test_last_requests_of_a_removed_deployment(
    gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica]
) -> None:
    """A deployment that follows a removed one, with no reading between them, does not get its requests."""
    await gateway.route("x", "a", replicas[0].target)
    await gateway.statistics()
    await visitor.send("/endpoints/x/")
    await gateway.forget("x")
    await gateway.route("y", "a", replicas[0].target)
    assert (await gateway.statistics()).traffic == {"y": NO_TRAFFIC}


@pytest.mark.parametrize(("before", "after"), [(3, 1), (1, 3), (2, 2)])
async def test_envoy_starts_again(
    gateway: EnvoyGateway, visitor: Visitor, replicas: list[Replica], folder: Path, before: int, after: int
) -> None:
    """When Envoy was started again, its counters start at zero, however soon they are higher; those of the deployment continue."""
    await gateway.route("x", "a", replicas[0].target)
    await gateway.statistics()
    for _ in range(before):
        await visitor.send("/endpoints/x/")
    assert (await traffic(gateway)).requests == before
    os.kill(int((folder / "envoy.pid").read_text()), signal.SIGKILL)
    responses = 0
    async with asyncio.timeout(LONG):
        while responses < after:
            with suppress(ClientError):
                await visitor.send("/endpoints/x/")
                responses += 1
            await asyncio.sleep(0.05)
    counted = await traffic(gateway)
    assert (counted.requests, counted.timed) == (before + after, before + after)


async def test_the_gateway_is_opened_again(gateway: EnvoyGateway, replicas: list[Replica]) -> None:
    """If Envoy keeps running while the gateway is closed and opened, its requests are counted once."""
    await gateway.route("x", "a", replicas[0].target)
    await gateway.statistics()
    for _ in range(2):
        async with visiting(gateway) as visitor:
            await visitor.send("/endpoints/x/")
        await gateway.statistics()
        await gateway.close()
        await gateway.open()
    assert (await traffic(gateway)).requests == 2


async def test_another_server(
    gateway: EnvoyGateway, new_gateway: Callable[..., EnvoyGateway], replicas: list[Replica]
) -> None:
    """The next server finds the slots again, and counts from its start."""
    await gateway.route("x", "a", replicas[0].target)
    async with visiting(gateway) as visitor:
        await visitor.send("/endpoints/x/")
        await gateway.close()
        second = new_gateway()
        await second.open()
        assert await traffic(second) == NO_TRAFFIC
    async with visiting(second) as visitor:
        await visitor.send("/endpoints/x/")
        assert (await traffic(second)).requests == 1


async def test_without_envoy(new_gateway: Callable[..., EnvoyGateway]) -> None:
    """Without Envoy, the requests are unknown."""
    gateway = new_gateway(external=True)
    await gateway.open()
    with pytest.raises(GatewayUnavailableError, match="The gateway does not run"):
        await gateway.statistics()


@pytest.mark.parametrize(
    ("reads", "slots", "expected"),
    [
        pytest.param([{0: TWO}], {"x": 0}, {"x": NO_TRAFFIC}, id="requests before the first reading"),
        pytest.param([{0: ONE}, {0: THREE}], {"x": 0}, {"x": TWO}, id="requests since"),
        pytest.param([{}, {0: ONE}], {"x": 0}, {"x": ONE}, id="the first requests"),
        pytest.param([{0: ONE}, {}], {"x": 0}, {"x": NO_TRAFFIC}, id="Envoy was started again, without requests"),
        pytest.param([{0: ONE}, {0: THREE}, {0: ONE}], {"x": 0}, {"x": THREE}, id="Envoy was started again"),
        pytest.param([{1: ONE}, {1: TWO}], {"x": 0}, {"x": NO_TRAFFIC}, id="a slot that nobody has"),
    ],
)
def test_count(reads: list[dict[int, Traffic]], slots: dict[str, int], expected: dict[str, Traffic]) -> None:
    """Requests are counted from the first reading, over restarts of Envoy."""
    counted = None
    for read in reads:
        counted = count(counted, read, slots)
    assert counted is not None
    assert counted.totals == expected


@pytest.mark.parametrize("text", ['envoy_vhost_route_upstream_rq_completed{envoy_route="other"} 1', "<html>"])
def test_something_else(text: str) -> None:
    """A text without the counters of slots is an error, not zero requests."""
    with pytest.raises(ValueError, match=text[:10]):
        parse(text)
