"""Logs of a container that writes much: connections to the engine are cut and the server is killed, beside requests."""

from __future__ import annotations

import re
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.engine.private_engine import PrivateEngine
from tests.engine.relay import Relay
from tests.engine.site import SERVE, spec
from tests.stress.gateway_processes import processor_time
from tests.stress.server_process import Server

from paperspace.gradient import Client, errors

CUTS, KILLS = 10, 2

OTHER: Any = {"image": "web:1", "resources": {"replicas": 0}}

# Writes lines to both outputs in turn, with a short pause after each part.
WRITE = """
httpd -p 8080 -h /tmp
part=0
while [ $part -lt {parts} ]; do
    i=0
    while [ $i -lt 500 ]; do
        echo "out $((part * 500 + i))"
        echo "err $((part * 500 + i))" >&2
        i=$((i + 1))
    done
    part=$((part + 1))
    sleep 0.15
done
echo done
sleep 1000000
"""


class Requests(threading.Thread):
    """Sends requests all the time, and measures those that succeed."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds: list[float] = []
        self._client = Client("key", "http://127.0.0.1:8600/graphql", max_retries=0)
        self._stop_requested = threading.Event()

    def run(self) -> None:
        """Create a deployment, read its status several times, delete it; again until the end."""
        api = self._client.deployments
        while not self._stop_requested.wait(0.05):
            with suppress(errors.GradientError):  # the server is down
                id_ = self._timed(lambda: api.create_deployment("other", "p", OTHER))["id"]
                for _ in range(8):
                    self._stop_requested.wait(0.01)
                    self._timed(lambda id_=id_: api.get_deployment_status(id_))  # type: ignore[misc]
                self._timed(lambda id_=id_: api.delete_deployment(id_))  # type: ignore[misc]

    def _timed(self, call: Callable[[], Any]) -> Any:
        begin = time.monotonic()
        result = call()
        self._seconds.append(time.monotonic() - begin)
        return result

    def end(self) -> str:
        """Stop, and return the times."""
        self._stop_requested.set()
        self.join()
        self._client.close()
        cuts = statistics.quantiles(self._seconds, n=100)
        return (
            f"{len(self._seconds)} requests: median {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms, "
            f"maximum {max(self._seconds) * 1000:.0f} ms"
        )


def logs(docker: PrivateEngine, folder: Path, count: int) -> None:
    """Write so many lines while connections are cut and the server is killed; check that each is stored once, in order."""
    with Relay(folder / "relay.sock", docker.socket) as relay:
        server = Server(docker, folder, docker_host=relay.url)
        server.start()
        requests = Requests()
        requests.start()
        time.sleep(15)
        print(f"before: {requests.end()}")
        requests = Requests()
        requests.start()
        begin = time.monotonic()
        created = server.client.deployments.create_deployment(
            "writer", "p", spec("writer", script=WRITE.format(parts=count // 1000))
        )
        pause = count / 1000 * 0.25 / (CUTS + KILLS)  # about as long as it writes, in equal parts
        for number in range(CUTS + KILLS):
            time.sleep(pause)
            if number in (CUTS // 3, CUTS):
                server.end(signal.SIGKILL)
                server.start()
            else:
                relay.cut()
        while last_line(server.client, created["id"]) != "done":
            time.sleep(0.2)
        print(f"stored after {time.monotonic() - begin:.0f} s, with {CUTS} cuts and {KILLS} SIGKILLs of the server")
        print(f"beside it: {requests.end()}", flush=True)
        begin = time.monotonic()
        lines = [line["message"] for line in server.client.deployments.get_deployment_logs(created["id"])]
        print(f"{len(lines)} lines read through the API in {time.monotonic() - begin:.1f} s")
        check(lines, count // 1000 * 500)
        measure_delay(server)
        server.end()


def last_line(client: Client, id_: str) -> str | None:
    """Return the last line of a deployment; None if there is none yet."""
    with suppress(errors.GradientError):
        for line in client.deployments.get_deployment_logs(id_, tail=1):
            return line["message"]
    return None


def check(lines: list[str], count: int) -> None:
    """Check that each line is there once, and those of each output are in order."""
    counts = Counter(lines)
    doubled = [line for line, number in counts.items() if number > 1]
    lost = [line for n in range(count) for line in (f"out {n}", f"err {n}") if line not in counts]
    other = [line for line in counts if not re.fullmatch(r"(out|err) \d+|done", line)]
    disordered = 0
    for output in ("out", "err"):
        numbers = [int(line[4:]) for line in lines if line.startswith(output)]
        disordered += sum(first > second for first, second in pairwise(numbers))
    print(f"{len(lost)} lost, {len(doubled)} doubled, {disordered} out of order, {len(other)} others")
    assert [lost, doubled, other, disordered] == [[], [], [], 0], (lost[:5], doubled[:5], other[:5])


def measure_delay(server: Server) -> None:
    """Measure how long after it was written a line is seen by who follows the log."""
    script = f"(while true; do sleep 1.37; echo tick; done) & {SERVE}"
    created = server.client.deployments.create_deployment("ticks", "p", spec("ticks", script=script), wait=True)
    assert server.process
    delays, begin, used = [], time.monotonic(), processor_time(server.process.pid)
    for line in server.client.deployments.get_deployment_logs(created["id"], follow=True, tail=0):
        delays.append((datetime.now(UTC) - datetime.fromisoformat(line["dtCreated"])).total_seconds())
        if len(delays) == 30:
            break
    print(
        f"a line is seen by `logs --follow` after {statistics.median(delays):.2f} s (median), "
        f"{max(delays):.2f} s (maximum of {len(delays)}); the server used "
        f"{(processor_time(server.process.pid) - used) / (time.monotonic() - begin):.1%} of a core meanwhile"
    )
