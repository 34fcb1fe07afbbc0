"""Stress tests of requests to endpoints while everything around them changes, on a real Docker engine and a real gateway.

`scripts/chaos traffic` runs them, as root on Debian. The clients never retry.

updates      updates of a deployment under load
scale        from five replicas to two, under load
checks       replicas whose readiness check fails and passes again, under load
autoscaling  the time from load to another replica, and a load at the target for minutes
slow         a request of 75 seconds during an update
failures     revisions that crash, have no image, or never get ready, under load
kill         `kill -9` of a replica under load; with DOCKERD_OPTIONS=--userland-proxy=false nothing is lost after it
server       SIGKILL and restart of the server under load
envoy        SIGKILL of the gateway
engine       a restart of the engine
official     the retired official client, unmodified, deploys a container that responds
many         many deployments that are added and removed beside a load, a WebSocket and server-sent events
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import aiohttp
from tests.engine.conftest import make_images
from tests.engine.load_image import IMAGE, SLOW, make_load_image
from tests.engine.private_engine import PrivateEngine
from tests.engine.python_image import APPLICATION, make_application_image
from tests.engine.site import wait_for
from tests.integration.official_client import Official, set_up
from tests.repeating import repeated
from tests.stress.gateway_processes import pid_in
from tests.stress.keep_alive_load import Load
from tests.stress.server_process import Server

from paperspace.gradient.server.docker.instance_types import InstanceType
from paperspace.gradient.server.settings_files import write_settings

TIMEOUT = 120.0


def application(version: int = 1, replicas: int = 3, **fields: Any) -> Any:
    """Return a spec of the application."""
    env = [{"name": "VERSION", "value": str(version)}]
    return {"image": APPLICATION, "port": 8080, "env": env, "resources": {"replicas": replicas}, **fields}


class World:
    """A server with a gateway."""

    def __init__(self, docker: PrivateEngine, folder: Path) -> None:
        self.docker = docker
        self.folder = folder
        self.server = Server(docker, folder)
        self.api = self.server.client.deployments

    def create(self, name: str, spec: Any) -> tuple[str, str]:
        """Create a deployment, wait until it is ready, and return its id and its endpoint."""
        id_ = self.api.create_deployment(name, "p", spec)["id"]
        status = self.api.wait_for_deployment(id_, timeout=TIMEOUT)
        return id_, status["endpointUrl"]

    def update(self, id_: str, spec: Any) -> None:
        """Update a deployment, and wait until nothing is left of what ran before."""
        self.api.update_deployment(id=id_, spec=spec)
        self.api.wait_for_deployment(id_, timeout=TIMEOUT)
        replicas = spec["resources"]["replicas"]
        seconds_until(lambda: len(self.server.site.containers(id_)) == replicas)


def responds(url: str) -> bool:
    """Return whether an endpoint responds with status 200."""
    try:
        with urlopen(url, timeout=5) as response:
            return int(response.status) == 200
    except (URLError, OSError):
        return False


def seconds_until(condition: Callable[[], bool]) -> float:
    """Return the seconds until a condition is true."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() < begin + TIMEOUT
        time.sleep(0.01)
    return time.monotonic() - begin


def updates(world: World, count: int) -> None:
    """Update a deployment again and again under requests of two seconds; other deployments change too."""
    id_, url = world.create("updates", application(0))
    with Load(url, seconds=2) as load:
        for number in range(1, count + 1):
            other = world.api.create_deployment(f"other-{number}", "p", application(replicas=1))["id"]
            world.update(id_, application(number))
            world.api.delete_deployment(other)
            print(f"update {number}: {load.summary()}", flush=True)
        time.sleep(3)
    assert len(load.versions) == count + 1, load.versions
    print(f"{count} updates of 3 replicas, 16 clients, requests of 2 s: {load.summary()}")
    assert not load.lost, load.lost[:5]


def scale(world: World, count: int) -> None:
    """Scale from five replicas to two and back."""
    id_, url = world.create("scale", application(replicas=5))
    with Load(url, seconds=2) as load:
        for _ in range(count):
            world.update(id_, application(replicas=2))
            world.update(id_, application(replicas=5))
    print(f"{count} times from 5 replicas to 2 and back, requests of 2 s: {load.summary()}")
    assert not load.lost, load.lost[:5]


def autoscaled(metric: str, target: float) -> Any:
    """Return a spec with one replica of a quarter of a CPU and 64 MiB, and up to three."""
    scaling = {"maxReplicas": 3, "metrics": [{"metric": metric, "value": target}]}
    return {
        "image": IMAGE,
        "port": 8080,
        "resources": {"replicas": 1, "instanceType": "quarter", "autoscaling": scaling},
    }


def slow_requests(url: str) -> AbstractContextManager[None]:
    """Send one slow request after the other."""

    def send() -> None:
        with urlopen(f"{url}/cgi-bin/slow", timeout=30) as response:
            response.read()

    return repeated(send)


def autoscaling(world: World, count: int) -> None:
    """Measure the time from load to another replica; beside that, keep two deployments at their targets for minutes."""
    write_settings(world.folder / "gradient.db.instance-types", {"quarter": InstanceType(0.25, 0.0625)})
    steady_cpu, cpu_url = world.create("steady-cpu", autoscaled("cpu", 100))
    steady_slow, slow_url = world.create("steady-slow", autoscaled("requestDuration", SLOW + 0.02))
    urlopen(f"{cpu_url}/cgi-bin/load?cpu", timeout=30).close()
    begin = time.monotonic()
    times: dict[str, list[float]] = {"cpu": [], "memory": [], "requestDuration": []}
    with slow_requests(slow_url):
        for number in range(count):
            for metric, target in (("cpu", 30), ("memory", 40), ("requestDuration", 0.1)):
                id_, url = world.create(f"{metric}-{number}", autoscaled(metric, target))
                time.sleep(random.uniform(12, 22))  # so that the readings are at any time
                ready = partial(_has_replicas, world, id_)
                if metric == "requestDuration":
                    with slow_requests(url):
                        times[metric].append(seconds_until(ready))
                else:
                    urlopen(f"{url}/cgi-bin/load?{metric}", timeout=30).close()
                    times[metric].append(seconds_until(ready))
                world.api.delete_deployment(id_)
                print(f"{metric}: another replica is ready after {times[metric][-1]:.1f} s", flush=True)
        time.sleep(max(begin + 60 * count - time.monotonic(), 0))
    for metric, measured in times.items():
        print(f"{metric}: another replica is ready {report(measured)} after the load began")
    for id_ in (steady_cpu, steady_slow):
        events = [event for event in world.api.get_deployment_events(id_) if event["reason"].startswith("Scaled")]
        assert events == [], events
        assert world.api.get_deployment_status(id_)["replicas"] == 1
    print(
        f"no change in {(time.monotonic() - begin) / 60:.1f} minutes at the target of cpu, and at that of requestDuration"
    )
    assert max(map(max, times.values())) < 30


def _has_replicas(world: World, id_: str) -> bool:
    time.sleep(0.2)  # the CPU is for the containers
    return bool(world.api.get_deployment_status(id_)["readyReplicas"] > 1)


def checks(world: World, count: int) -> None:
    """Let the readiness check of one replica after the other fail and pass again."""
    readiness = {"path": "/ready", "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 10}
    id_, url = world.create("checks", application(replicas=3, healthChecks={"readiness": readiness}))
    before = {container["id"] for container in world.server.site.containers(id_)}
    ports = world.server.site.ports(id_)
    out: list[float] = []
    back: list[float] = []

    def seconds_until_ready(replicas: int) -> float:
        return seconds_until(lambda: world.api.get_deployment_status(id_)["readyReplicas"] == replicas)

    with Load(url, seconds=2) as load:
        for number in range(count):
            for status, replicas, times in (("503", 2, out), ("200", 3, back)):
                urlopen(f"http://127.0.0.1:{ports[number % 3]}/ready?set={status}", timeout=30).close()
                times.append(seconds_until_ready(replicas))
                time.sleep(0.5)
    print(f"{count} times a failed readiness check of one of 3 replicas, requests of 2 s: {load.summary()}")
    print(f"not ready after {report(out)}, ready after {report(back)}; the period is 1 s")
    assert {container["id"] for container in world.server.site.containers(id_)} == before
    assert not load.lost, load.lost[:5]


def slow(world: World, seconds: float) -> None:
    """Send a request that lasts longer than an update."""
    id_, url = world.create("slow", application(1, replicas=1))
    results: list[str] = []

    def request() -> None:
        with urlopen(f"{url}/slow?s={seconds}", timeout=seconds + 60) as response:
            results.append(json.load(response)["version"])

    thread = threading.Thread(target=request)
    thread.start()
    time.sleep(1)
    world.update(id_, application(2, replicas=1))
    thread.join()
    assert results == ["1"], results
    print(f"a request of {seconds:g} s outlived the update of its deployment")


def failures(world: World, count: int) -> None:
    """Update to revisions that fail."""
    id_, url = world.create("failures", application(0, replicas=2))
    crash = [f"import os, sys; sys.exit({7})"]
    python = ["/usr/bin/" + Path("/usr/bin/python3").resolve().name, "-c"]
    broken = {
        "crash": application(1, 2, command=[*python, *crash]),
        "no image": application(2, 2, image="127.0.0.1:1/nosuch:1"),
        "never ready": application(3, 2, command=[*python, "import time; time.sleep(1000)"]),
    }
    with Load(url, seconds=0.5) as load:
        for _ in range(count):
            for reason, spec in broken.items():
                world.api.update_deployment(id=id_, spec=spec)
                if reason == "crash":
                    seconds_until(lambda: world.api.get_deployment_status(id_)["error"] is not None)
                else:
                    time.sleep(10)  # these are tried again for ten minutes
                print(f"{reason}: {load.summary()}", flush=True)
        world.update(id_, application(4, replicas=2))
    print(f"{count} times a revision that crashes, has no image, never gets ready: {load.summary()}")
    assert not load.lost, load.lost[:5]


def kill(world: World, count: int) -> None:
    """Kill replicas; only requests that they may have received are lost."""
    id_, url = world.create("kill", application(replicas=3))
    clients = 16
    with Load(url, clients=clients, seconds=0.5) as load:
        for _ in range(count):
            time.sleep(3)
            container = world.server.site.containers(id_)[0]
            before, killed = len(load.lost), time.monotonic()
            os.kill(container["pid"], signal.SIGKILL)
            time.sleep(5)
            lost = load.lost[before:]
            later = [entry for entry in lost if entry.started > killed]
            longest = max((entry.started - killed for entry in later), default=0.0)
            print(
                f"kill -9: {len(lost)} requests lost, {len(later)} of them sent after it, in the first {longest * 1000:.0f} ms",
                flush=True,
            )
            # Docker's proxy accepts connections until Docker has noticed the end. Safe methods are sent again.
            without_proxy = "--userland-proxy=false" in world.docker.options()
            assert {entry.method for entry in later} <= (set() if without_proxy else {"POST"}), later
            world.api.wait_for_deployment(id_, timeout=TIMEOUT)
            wait_for(lambda: len(world.server.site.containers(id_)) == 3)
    print(f"{count} times kill -9 of one of 3 replicas, {clients} clients: {load.summary()}")


def server(world: World, count: int) -> None:
    """Kill the server and start it again."""
    id_, url = world.create("server", application(0))
    with Load(url, seconds=0.5) as load:
        for number in range(1, count + 1):
            world.api.update_deployment(id=id_, spec=application(number))
            time.sleep(number % 5)  # in the middle of the update, and after it
            world.server.end(signal.SIGKILL)
            time.sleep(1)
            world.server.start()
            world.api.wait_for_deployment(id_, timeout=TIMEOUT)
            print(f"SIGKILL {number} of the server: {load.summary()}", flush=True)
    print(f"{count} SIGKILLs of the server during updates: {load.summary()}")
    assert not load.lost, load.lost[:5]


def envoy(world: World, count: int) -> None:
    """Kill the gateway."""
    _, url = world.create("envoy", application(replicas=2))
    times = []
    for _ in range(count):
        os.kill(pid_in(world.folder / "gradient.db.gateway"), signal.SIGKILL)
        times.append(seconds_until(lambda: responds(url)))
        time.sleep(1)
    print(f"{count} SIGKILLs of the gateway: responds again {report(times)} after it")
    assert max(times) < 2


def engine(world: World, count: int) -> None:
    """Restart the engine with ten deployments."""
    urls = [world.create(f"engine-{number}", {"image": "web:1", "port": 8080})[1] for number in range(10)]
    times = []
    for number in range(count):
        (world.docker.kill if number % 3 == 2 else world.docker.stop)()
        world.docker.start()
        times.append(seconds_until(lambda: all(map(responds, urls))))
        print(
            f"engine restart {number + 1}: all endpoints respond {times[-1]:.1f} s after its first response", flush=True
        )
        time.sleep(2)
    print(f"{count} restarts of the engine, 10 deployments: all respond again {report(times)} after its first response")


def official(world: World, count: int) -> None:
    """Create and update a deployment with the retired official client."""
    client = Official(set_up(), "http://127.0.0.1:8600/graphql", "key", world.folder)
    spec = world.folder / "spec.yaml"
    for version in range(count + 1):
        spec.write_text(json.dumps(application(version, replicas=1)))
        if version == 0:
            created = client.command("create", "--name", "official", "--projectId", "p", "--spec", "spec.yaml")
            id_ = created.split()[-1]
        else:
            client.command("update", "--id", id_, "--spec", "spec.yaml")
        world.api.wait_for_deployment(id_, timeout=TIMEOUT)
        (newest, *_) = json.loads(client.command("get", "--id", id_))["deploymentSpecs"]
        url = newest["endpointUrl"]
        with urlopen(url, timeout=5) as response:
            assert json.load(response)["version"] == str(version)
    client.command("delete", "--id", id_)
    print(f"the retired client deployed a container and updated it: {url} responded with each version")


def many(world: World, count: int) -> None:
    """Add and remove deployments beside a load, a WebSocket and server-sent events."""
    _, url = world.create("beside", application(replicas=2))
    asyncio.run(_many(world, url, count))


async def _many(world: World, url: str, count: int) -> None:
    stop = asyncio.Event()
    events: list[float] = []

    async def read_events(session: aiohttp.ClientSession) -> None:
        async with session.get(f"{url}/sse?gap=0.1") as response:
            async for line in response.content:
                if line.startswith(b"data:"):
                    events.append(time.time() - float(line.split()[1]))
                if stop.is_set():
                    return
        raise AssertionError("the events ended")

    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.ws_connect(f"{url}/ws") as socket:
        reading = asyncio.create_task(read_events(session))
        with Load(url, clients=8, seconds=0.05) as load:
            routed = await asyncio.to_thread(_add_and_remove, world, count)
        await socket.send_str("still open")
        assert (await socket.receive(timeout=10)).data == "still open"
        stop.set()
        await reading
    print(
        f"{count} deployments added and removed: the endpoint of each responds {report(routed)} after it is ready; "
        f"beside it {load.summary()}, a WebSocket stayed open, {len(events)} events with a lag of at most "
        f"{max(events) * 1000:.0f} ms (median {statistics.median(events) * 1000:.1f} ms)"
    )
    assert not load.lost, load.lost[:5]
    assert max(routed) < 1


def _add_and_remove(world: World, count: int) -> list[float]:
    web = {"image": "web:1", "port": 8080}
    ids = [world.api.create_deployment(f"many-{number}", "p", web)["id"] for number in range(count)]
    routed = []
    for id_ in ids:
        url = world.api.wait_for_deployment(id_, timeout=600)["endpointUrl"]
        routed.append(seconds_until(lambda url=url: responds(url)))  # type: ignore[misc]
    for id_ in ids:
        world.api.delete_deployment(id_)
    wait_for(lambda: not any(world.server.site.containers(id_) for id_ in ids))
    return routed


def report(times: list[float]) -> str:
    """Return the median and the maximum."""
    return f"{statistics.median(times):.2f} s (at most {max(times):.2f} s)"


TESTS: dict[str, tuple[Callable[[World, int], None], int]] = {
    "updates": (updates, 20),
    "scale": (scale, 3),
    "checks": (checks, 20),
    "autoscaling": (autoscaling, 5),
    "slow": (slow, 75),
    "failures": (failures, 2),
    "kill": (kill, 5),
    "server": (server, 10),
    "envoy": (envoy, 5),
    "engine": (engine, 6),
    "official": (official, 1),
    "many": (many, 100),
}


def main() -> None:
    """Run one of the tests, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", nargs="*", metavar="TEST", choices=[*TESTS, []], help="by default all")
    parser.add_argument(
        "--count",
        type=int,
        help="how often; for `autoscaling` also the minutes at the target, for `slow` the seconds of the request",
    )
    arguments = parser.parse_args()
    folder = Path(os.environ["GRADIENT_TEST_ENGINE"])
    docker = PrivateEngine(folder)
    docker.start()
    make_images(docker)
    make_application_image(docker)
    make_load_image(docker)
    world = World(docker, folder)
    try:
        world.server.start()
        for name in arguments.tests or TESTS:
            test, count = TESTS[name]
            test(world, arguments.count or count)
            for deployment in world.api.list_deployments():
                world.api.delete_deployment(deployment["id"])
            wait_for(lambda: world.server.site.containers() == [])
        world.server.end()
    finally:
        docker.stop()


if __name__ == "__main__":
    main()
