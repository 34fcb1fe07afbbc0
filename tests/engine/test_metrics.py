"""The metrics of a server with real containers and the gateway."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from urllib.request import urlopen

import pytest
from tests.engine.private_engine import PrivateEngine
from tests.engine.site import spec, wait_for
from tests.server.test_metrics import parse, scrape, value

from paperspace.gradient import Client
from paperspace.gradient.server import LocalServer
from paperspace.gradient.server.controller import sampling
from paperspace.gradient.server.controller.controller import Options
from paperspace.gradient.server.docker.address import Address
from paperspace.gradient.server.docker.engine import DockerEngine
from paperspace.gradient.server.gateway.gateway import EnvoyGateway
from paperspace.gradient.server.gateway.options import Options as GatewayOptions

MIB = 2**20


def test_figures_of_real_containers(docker: PrivateEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What two containers use and each request to their endpoint are in `/metrics`, which promtool accepts, and in the store."""
    monkeypatch.setattr(sampling, "INTERVAL", 0.5)
    with tempfile.TemporaryDirectory(prefix="gw") as folder:
        gateway = EnvoyGateway(GatewayOptions(Path(folder) / "gateway", port=0, ephemeral=True))
        engine = DockerEngine(address=Address(docker.url, "the test"))
        options = Options(stop_grace=2)
        with (
            LocalServer(database=tmp_path / "gradient.db", engine=engine, gateway=gateway, options=options) as server,
            Client(server.api_key, server.url) as client,
        ):
            api = client.deployments
            resources = {"instanceType": "C2"}
            created = api.create_deployment("mnist", "p", spec("mnist", 2, resources=resources), wait=True)
            labels = {"id": created["id"], "name": "mnist"}
            endpoint = api.get_deployment_status(created["id"])["endpointUrl"]
            for _ in range(20):
                with urlopen(endpoint) as response:
                    assert response.read() == b"mnist 1\n"

            def is_complete() -> bool:
                series = parse(scrape(server))
                requests = value(series, "gradient_deployment_requests_total", **labels)
                return requests == 20 and value(series, "gradient_deployment_cpus", **labels) is not None

            wait_for(is_complete)
            content = scrape(server)
            series = parse(content)
            promtool = [os.environ["GRADIENT_PROMTOOL"], "check", "metrics"]
            checked = subprocess.run(promtool, input=content, capture_output=True, text=True, check=False)
            assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
            assert value(series, "gradient_deployment_ready_replicas", **labels) == 2
            assert value(series, "gradient_deployment_request_duration_seconds_count", **labels) == 20
            assert value(series, "gradient_deployment_request_errors_total", **labels) == 0
            assert value(series, "gradient_deployment_cpu_limit", **labels) == 2
            assert value(series, "gradient_deployment_memory_limit_bytes", **labels) == 2048 * MIB
            assert 0 < (value(series, "gradient_deployment_memory_bytes", **labels) or 0) < 100 * MIB
            [*_, newest] = api.get_deployment_metrics(created["id"])
            assert (newest["replicas"], newest["readyReplicas"], newest["cpuLimit"]) == (2, 2, 2)
            assert 0 < (newest["memory"] or 0) < 100 * MIB
            api.delete_deployment(created["id"])
            wait_for(lambda: "mnist" not in scrape(server))
            listed = ("ps", "--all", "--quiet", "--filter", f"label=gradient.deployment={created['id']}")
            wait_for(lambda: docker.docker(*listed).stdout == "")
