"""Stress tests of the server on a real Docker engine. `scripts/chaos engine` runs them at full size, as root on Debian.

kills     SIGKILL of the server at random moments of creates, updates, scales and deletes
restarts  restarts of the engine, while the server runs or not
rest      the CPU time of a server with many deployments at rest
times     how long things take: create, heal, and the reason of a failure
logs      a container that writes many lines, while connections are cut and the server is killed
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.engine.conftest import make_images
from tests.engine.private_engine import PrivateEngine
from tests.engine.site import Site, page, spec, wait_for
from tests.stress.gateway_processes import processor_time
from tests.stress.log_stress import logs
from tests.stress.server_process import Server

from paperspace.gradient import Client, errors
from paperspace.gradient.server.docker.instance_types import InstanceType
from paperspace.gradient.server.settings_files import write_settings

TIMEOUT = 90.0

# How many of the deployments change while the server is killed, and how often no request is active then.
CHANGING = 0.7
QUIET = 0.3

REPLICAS = 2  # of each deployment, while the engine restarts


# SIGKILLs


class Model:
    """What may be stored of one deployment, according to the responses to its changes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.id: str | None = None
        self.version = 0
        self.possible: set[tuple[int, int] | None] = {None}  # version and replicas; None: it does not exist
        self.touched = False

    def change(self, client: Client, choice: random.Random) -> None:
        """Make a random change. If its outcome is unknown, both states are possible."""
        self.touched = True
        before = set(self.possible)
        if before == {None}:
            after = self._next(1)
            action: Callable[[], Any] = lambda: self._create(client, after)  # noqa: E731
        elif choice.random() < 0.15:
            after = None
            action = lambda: client.deployments.delete_deployment(self.id or "")  # noqa: E731
        else:
            after = self._next(choice.randint(0, 3))
            body = spec(self.name, after[1], version=str(after[0]))
            action = lambda: client.deployments.update_deployment(id=self.id or "", spec=body)  # noqa: E731
        self.possible = before | {after}
        action()
        self.possible = {after}

    def _next(self, replicas: int) -> tuple[int, int]:
        # Half of the changes keep the containers: only the number of replicas changes.
        self.version += random.random() < 0.5 or self.version == 0
        return self.version, replicas

    def _create(self, client: Client, state: tuple[int, int]) -> None:
        body = spec(self.name, state[1], version=str(state[0]))
        self.id = client.deployments.create_deployment(self.name, "p", body)["id"]


class Changes:
    """Clients that change deployments until they are stopped."""

    def __init__(self, client: Client) -> None:
        self.acknowledged = self.unknown = 0
        self._client = client
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, models: list[Model], choice: random.Random) -> None:
        """Start a thread for each deployment."""
        self._stop.clear()
        self._threads = [
            threading.Thread(target=self._work, args=(model, random.Random(choice.getrandbits(32)))) for model in models
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the threads end after their current change."""
        self._stop.set()

    def join(self) -> None:
        """Wait for the threads."""
        for thread in self._threads:
            thread.join()

    def _work(self, model: Model, choice: random.Random) -> None:
        while not self._stop.is_set():
            try:
                model.change(self._client, choice)
                self.acknowledged += 1
            except errors.GradientError:
                self.unknown += 1
                return
            time.sleep(choice.random() * 0.3)


def kills(docker: PrivateEngine, folder: Path, count: int, deployments: int, seed: int) -> None:
    """Kill the server at random moments; after each restart, compare what runs with what was acknowledged."""
    choice = random.Random(seed)
    server = Server(docker, folder)
    server.start()
    changes = Changes(server.client)
    models = [Model(f"d{number}") for number in range(deployments)]
    adopted = 0
    for number in range(1, count + 1):
        before = {container["id"] for container in server.site.containers()}
        changes.start([model for model in models if choice.random() < CHANGING], choice)
        time.sleep(choice.random() * 2.5)
        if choice.random() < QUIET:
            changes.stop()
        server.end(signal.SIGKILL)
        changes.stop()
        server.start()
        changes.join()
        converge(server, models)
        adopted += count_adopted(server, models, before)
        if number % 10 == 0:
            print(
                f"{number} kills: {changes.acknowledged} changes, {changes.unknown} with an unknown outcome, "
                f"{adopted} containers of unchanged deployments adopted",
                flush=True,
            )
    server.end()


def count_adopted(server: Server, models: list[Model], before: set[str]) -> int:
    """Check that the containers of unchanged deployments are the same as before, and return their number."""
    unchanged = {model.id for model in models if not model.touched}
    for model in models:
        model.touched = False
    containers = [container for container in server.site.containers() if container["deployment"] in unchanged]
    assert before.issuperset(container["id"] for container in containers), containers
    return len(containers)


def converge(server: Server, models: list[Model]) -> None:
    """Wait until what runs is what the API says, which is what was acknowledged."""
    stored = {entry["name"]: entry for entry in server.client.deployments.list_deployments()}
    wanted: dict[str, tuple[str, str, int]] = {}
    for model in models:
        entry = stored.pop(model.name, None)
        state = None
        if entry is not None:
            model.id = entry["id"]
            newest = server.client.deployments.get_deployment_spec(entry["id"])
            version = next(int(pair["value"]) for pair in newest["env"] or () if pair["name"] == "VERSION")
            state = (version, int(newest["resources"]["replicas"] or 0))  # type: ignore[index]
            wanted[entry["id"]] = (model.name, str(version), state[1])
        assert state in model.possible, f"{model.name}: {state} is stored, but only {model.possible} is possible"
        model.possible = {state}
    assert not stored, f"doubled: {stored}"
    end = time.monotonic() + TIMEOUT
    while (problem := difference(server, wanted)) is not None:
        assert time.monotonic() < end, problem
        time.sleep(0.1)


def difference(server: Server, wanted: dict[str, tuple[str, str, int]]) -> str | None:
    """Return what differs between the containers and the specs; None if nothing does."""
    containers = server.site.containers()
    for container in containers:
        if container["deployment"] not in wanted:
            return f"orphan: {container}"
    instances = [container["instance"] for container in containers]
    if len(set(instances)) != len(instances):
        return f"two containers of one instance: {instances}"
    for id_, (name, version, replicas) in wanted.items():
        running = [container for container in containers if container["deployment"] == id_]
        if len(running) != replicas:
            return f"{name}: {len(running)} containers instead of {replicas}"
        for container in running:
            if page(int(container["port"])) != f"{name} {version}":
                return (
                    f"{name}: port {container['port']} serves {page(int(container['port']))!r}, not version {version}"
                )
        status = server.client.deployments.get_deployment_status(id_)
        if status["state"] not in {"ready", "stopped"}:
            return f"{name}: {status}"
    return None


# Engine restarts


def restarts(docker: PrivateEngine, folder: Path, count: int, deployments: int) -> None:
    """Restart the engine, and compare what each port serves all the time.

    Each restart gets new deployments: those of the last one would wait longer, because all their containers had ended before.
    """
    server = Server(docker, folder)
    server.start()
    watch = Watch(server.site)
    watch.start()
    times = []
    for number in range(count):
        names = [f"d{number}-{index}" for index in range(deployments)]
        created = {name: server.client.deployments.create_deployment(name, "p", spec(name, REPLICAS)) for name in names}
        watch.ids = {name: deployment["id"] for name, deployment in created.items()}
        wait_for(watch.learn)
        down = number % 2 == 1
        if down:
            server.end(signal.SIGKILL if number % 4 == 1 else signal.SIGTERM)
        (docker.kill if number % 3 == 2 else docker.stop)()
        docker.start()
        begin = time.monotonic()
        if down:
            server.start()
        watch.owners.clear()  # new containers have new ports
        wait_for(watch.learn)
        times.append(time.monotonic() - begin)
        print(f"all serve again {times[-1]:.1f} s after the engine's start", flush=True)
        watch.owners.clear()
        for id_ in watch.ids.values():
            server.client.deployments.delete_deployment(id_)
        wait_for(lambda: server.site.containers() == [])
    watch.end()
    server.end()
    assert not watch.wrong, watch.wrong
    print(
        f"{count} engine restarts, half with the server down, {deployments} deployments with {REPLICAS} replicas: "
        f"{watch.responses} responses, none of another deployment; all serve again "
        f"{statistics.median(times):.1f} s (at most {max(times):.1f} s) after the engine's start"
    )


class Watch(threading.Thread):
    """Read the ports of all deployments all the time, and note responses of another deployment."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.ids: dict[str, str] = {}
        self.owners: dict[int, str] = {}
        self.wrong: list[str] = []
        self.responses = 0
        self._site = site
        self._stop_requested = threading.Event()

    def run(self) -> None:
        """Read until the end."""
        while not self._stop_requested.is_set():
            for port, name in list(self.owners.items()):
                text = page(port)
                self.responses += bool(text)
                if text not in {f"{name} 1", ""}:
                    self.wrong.append(f"port {port} of {name} served {text!r}")

    def end(self) -> None:
        """Stop reading."""
        self._stop_requested.set()
        self.join()

    def learn(self) -> bool:
        """Remember the ports, and return whether all replicas serve."""
        for name, id_ in self.ids.items():
            ports = self._site.ports(id_)
            if len(ports) != REPLICAS or not all(page(port) == f"{name} 1" for port in ports):
                return False
            self.owners.update(dict.fromkeys(ports, name))
        return True


# At rest


def rest(docker: PrivateEngine, folder: Path, count: int, seconds: float) -> None:
    """Measure the CPU time of the server while many deployments run and nothing changes."""
    server = Server(docker, folder)
    server.start()
    begin = time.monotonic()
    ids = [
        server.client.deployments.create_deployment(f"d{n}", "p", {"image": "web:1", "port": 8080})["id"]
        for n in range(count)
    ]
    for id_ in ids:
        server.client.deployments.wait_for_deployment(id_, timeout=600)
    print(f"{count} deployments ready after {time.monotonic() - begin:.0f} s", flush=True)
    time.sleep(5)
    assert server.process
    before, begin = processor_time(server.process.pid), time.monotonic()
    time.sleep(seconds)
    share = (processor_time(server.process.pid) - before) / (time.monotonic() - begin)
    print(f"{count} deployments at rest for {seconds:.0f} s: the server used {share:.2%} of a core")
    server.end()


# Times


def times(docker: PrivateEngine, folder: Path, count: int) -> None:
    """Measure how long things take."""
    write_settings(folder / "gradient.db.instance-types", {"tiny": InstanceType(1, 0.03)})
    server = Server(docker, folder)
    server.start()
    site, api = server.site, server.client.deployments
    measured: dict[str, list[float]] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        measured.setdefault(name, []).append(time.monotonic() - begin)

    def serving(id_: str, *without: str) -> bool:
        found = [
            container for container in site.containers(id_) if container["running"] and container["id"] not in without
        ]
        return bool(found) and all(page(int(container["port"])) for container in found)

    for number in range(count):
        name = f"t{number}"
        with timed("create to ready"):
            id_ = api.create_deployment(name, "p", {"image": "web:1", "port": 8080}, wait=True)["id"]
        for damage in ("kill -9", "docker rm --force", "docker stop"):
            damaged = api.create_deployment(f"{name} {damage}", "p", {"image": "web:1", "port": 8080}, wait=True)["id"]
            (container,) = site.containers(damaged)
            if damage == "kill -9":
                os.kill(container["pid"], signal.SIGKILL)
            else:
                options = ["--time", "0"] if damage == "docker stop" else []
                docker.docker(*damage.split()[1:], *options, container["id"])
            with timed(f"serving again after {damage}"):
                wait_for(lambda id_=damaged, old=container["id"]: serving(id_, old))  # type: ignore[misc]
            api.delete_deployment(damaged)
        api.update_deployment(id=id_, spec=spec(name))
        api.wait_for_deployment(id_)
        for reason, broken, words in (
            ("crash", spec(name, script="exit 7"), "Exited with code 7"),
            ("memory", spec(name, script="exec tail /dev/zero", resources={"instanceType": "tiny"}), "memory"),
            ("image", spec(name, image="127.0.0.1:1/nosuch:1"), "cannot be pulled"),
            ("command", spec(name, command=["/nosuch"]), "The container cannot start"),
        ):
            api.update_deployment(id=id_, spec=broken)
            with timed(f"reason shown: {reason}"):
                wait_for(lambda id_=id_, words=words: re.search(words, str(api.get_deployment_status(id_))) is not None)  # type: ignore[misc]
        api.delete_deployment(id_)
        with timed("delete to gone"):
            wait_for(lambda id_=id_: site.containers(id_) == [])  # type: ignore[misc]
    server.end()
    for name, values in measured.items():
        print(f"{name}: median {statistics.median(values):.2f} s, at most {max(values):.2f} s ({len(values)} times)")


def main() -> None:
    """Run one of the tests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("test", choices=["kills", "restarts", "rest", "times", "logs"])
    parser.add_argument("--count", type=int, help="how many kills, restarts, deployments, repetitions or lines")
    parser.add_argument("--deployments", type=int, default=6, help="of `kills` and `restarts`")
    parser.add_argument("--seconds", type=float, default=120, help="of `rest`")
    parser.add_argument("--seed", type=int, default=1, help="of the random changes")
    arguments = parser.parse_args()
    folder = Path(os.environ["GRADIENT_TEST_ENGINE"])
    docker = PrivateEngine(folder)
    docker.start()
    make_images(docker)
    print(
        f"Docker {docker.docker('version', '--format', '{{.Server.Version}}').stdout.strip()}, seed {arguments.seed}",
        flush=True,
    )
    try:
        match arguments.test:
            case "kills":
                kills(docker, folder, arguments.count or 200, arguments.deployments, arguments.seed)
            case "restarts":
                restarts(docker, folder, arguments.count or 12, arguments.deployments)
            case "rest":
                rest(docker, folder, arguments.count or 100, arguments.seconds)
            case "logs":
                logs(docker, folder, arguments.count or 100_000)
            case _:
                times(docker, folder, arguments.count or 10)
    finally:
        docker.stop()


if __name__ == "__main__":
    main()
