"""`GET /metrics`: the figures of a server in the text format of Prometheus."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.raw_client import Caller
from tests.server.controller.memory_engine import ServingEngine
from tests.server.controller.test_controller import PATIENCE, until
from tests.server.controller.test_server import OPTIONS, in_thread, spec

from paperspace.gradient.server import LocalServer, metrics
from paperspace.gradient.server.exposition import text
from paperspace.gradient.server.http import request_counts
from paperspace.gradient.server.http.request_counts import MAX_OPERATIONS, OTHER, RequestCounts
from paperspace.gradient.server.metrics import Controlled, Snapshot
from paperspace.gradient.server.storage.summary import DeploymentState
from paperspace.gradient.server.usage import NO_TRAFFIC, Load, Reading, Traffic, Usage

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(server: LocalServer, key: str | None = None) -> str:
    """Return the metrics of a server, as Prometheus reads them."""
    headers = {"Authorization": f"Bearer {server.api_key if key is None else key}"}
    with urlopen(Request(server.url.replace("/graphql", "/metrics"), headers=headers)) as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        return str(response.read().decode())


def parse(content: str) -> Series:
    """Return the samples of a text, which the parser of Prometheus' library accepts."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(content)
        for sample in family.samples
    }


def value(series: Series, metric: str, /, **labels: str) -> float | None:
    """Return a sample. None: there is none."""
    return series.get((metric, frozenset(labels.items())))


def test_simulation() -> None:
    """A server that simulates deployments has their states and replicas, and its API requests; no figures are invented."""
    with LocalServer() as server:
        call = Caller(server)
        id_ = call.create("mnist")
        call("query Two { deployments { nodes { id } } }")
        call("query Two { deployments { nodes { id } } }")
        series = parse(scrape(server))
    assert value(series, "gradient_server_info", engine="simulated") == 1
    assert sum(number for (name, _), number in series.items() if name == "gradient_deployments") == 1
    assert value(series, "gradient_deployment_replicas", id=id_, name="mnist") == 1
    assert value(series, "gradient_api_requests_total", operation="Two", status="200") == 2
    assert value(series, "gradient_api_request_duration_seconds_count", operation="Two") == 2
    assert not {name for name, _ in series if "cpu" in name or "memory" in name or "deployment_requests" in name}


def test_many_deployments(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more deployments than have series of their own, the newest have, and all are counted."""
    monkeypatch.setattr(metrics, "MAX_DEPLOYMENTS", 2)
    with LocalServer() as server:
        call = Caller(server)
        ids = [call.create(name) for name in ("a", "b", "c")]
        series = parse(scrape(server))
    assert {dict(labels)["id"] for _, labels in series if "id" in dict(labels)} == set(ids[1:])
    assert sum(number for (name, _), number in series.items() if name == "gradient_deployments") == 3


@pytest.mark.parametrize("key", ["", "wrong"])
def test_key(key: str) -> None:
    """Without the API key, there are no metrics."""
    with LocalServer() as server, pytest.raises(HTTPError) as caught:
        scrape(server, key)
    assert caught.value.code == 401
    assert "gradient" not in caught.value.read().decode().replace("gradient server", "")


def test_containers() -> None:
    """A server with an engine has the usage and restarts of each deployment, and the lag of the controller."""

    async def main() -> None:
        engine = ServingEngine()
        async with LocalServer(engine=engine, options=OPTIONS) as server:
            created = await in_thread(server, lambda api: api.create_deployment("mnist", "p", spec("good-1", 2)))
            labels = {"id": created["id"], "name": "mnist"}
            await in_thread(server, lambda api: api.wait_for_deployment(created["id"], timeout=PATIENCE))
            controlled = server.controlled
            assert controlled is not None
            assert controlled.controller is not None
            first, second = engine.running()
            engine.memory |= {first.id: 1000, second.id: 2000}
            await controlled.controller.sampler.sample()
            series = parse(await asyncio.to_thread(scrape, server))
            assert value(series, "gradient_deployment_ready_replicas", **labels) == 2
            assert value(series, "gradient_deployment_memory_bytes", **labels) == 3000
            assert value(series, "gradient_deployment_memory_limit_bytes", **labels) == 2 * 2**30
            assert value(series, "gradient_deployment_cpu_limit", **labels) == 8
            assert value(series, "gradient_deployment_restarts_total", **labels) == 0
            assert value(series, "gradient_deployment_requests_total", **labels) is None  # there is no gateway
            engine.exit(first.id)
            await until(lambda: controlled.controller and sum(controlled.controller.restarts().values()))
            series = parse(await asyncio.to_thread(scrape, server))
            assert value(series, "gradient_deployment_restarts_total", **labels) == 1
            await until(lambda: controlled.controller and not controlled.controller.lag())
            engine.available = False
            controlled.controller.wake([created["id"]])
            await until(lambda: controlled.controller and controlled.controller.lag() > 0.1)
            lag = value(parse(await asyncio.to_thread(scrape, server)), "gradient_reconcile_lag_seconds")
            assert lag is not None
            assert lag > 0.1
            engine.available = True
            await until(lambda: controlled.controller and not controlled.controller.lag())

    asyncio.run(main())


NOW = datetime(2024, 5, 17, tzinfo=UTC)
FULL = Snapshot(
    "docker",
    {"ready": 1, "failed": 0},
    [
        DeploymentState("id", 'a "name" \\ with\neverything é', "ready", 2, 1),
        DeploymentState("new", "new", "pending", 1, 0),
    ],
    {("DeploymentCreate", 200): 3, ("DeploymentCreate", 500): 1},
    {"DeploymentCreate": request_counts.Durations((1, 0, 3, *(0,) * (len(request_counts.BOUNDS) - 2)), 0.5)},
    Controlled(
        0.25,
        {"id": 4},
        {
            "id": [
                Reading(
                    NOW,
                    {"i": Load("c", Usage(NOW, 1.0, 500, 2.0, 1000), 3)},
                    Traffic(5, 1, 0.75, (0, 2, 3, *NO_TRAFFIC.durations[3:])),
                )
            ]
        },
    ),
)


def test_exposition() -> None:
    """Every figure of a snapshot is in the text, with the labels of its deployment, whatever its name contains."""
    series = parse(text(FULL).decode())
    labels = {"id": "id", "name": FULL.deployments[0].name}
    assert value(series, "gradient_api_requests_total", operation="DeploymentCreate", status="500") == 1
    for name, number in {
        "requests_total": 5,
        "request_errors_total": 1,
        "request_duration_seconds_sum": 0.75,
        "request_duration_seconds_count": 5,
        "active_requests": 3,
        "memory_bytes": 500,
        "restarts_total": 4,
        "replicas": 2,
        "ready_replicas": 1,
    }.items():
        assert value(series, f"gradient_deployment_{name}", **labels) == number, name
    buckets = {
        dict(labels_)["le"]: number
        for (name, labels_), number in series.items()
        if name == "gradient_deployment_request_duration_seconds_bucket"
    }
    assert (buckets["0.001"], buckets["0.0025"], buckets["0.005"], buckets["+Inf"]) == (0, 2, 5, 5)
    assert value(series, "gradient_reconcile_lag_seconds") == 0.25


def test_unknown_figures_have_no_series() -> None:
    """What is not known is left out, as a zero would be wrong."""
    names = {name for name, labels in parse(text(FULL).decode()) if ("id", "new") in labels}
    prefix = "gradient_deployment_"
    assert names == {f"{prefix}replicas", f"{prefix}ready_replicas", f"{prefix}restarts_total"}


def test_names_of_operations_are_bounded() -> None:
    """Clients choose the names of operations: after a hundred, and for invalid ones, they count as `other`."""
    counts = RequestCounts()
    for number in range(MAX_OPERATIONS + 20):
        counts.count(f"Operation{number}", 200, 0.1)
    for name in (None, "", "no name", "x" * 101, "é"):
        counts.count(name, 400, 0.1)
    assert len(counts.durations) == MAX_OPERATIONS + 1
    assert counts.by_status[OTHER, 200] == 20
    assert counts.by_status[OTHER, 400] == 5
    assert sum(counts.durations[OTHER].counts) == 25
