"""Logs of a container that writes much: connections to the engine are cut and the server is killed, beside requests."""

from __future__ import annotations

import re
import signal
import statistics
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from tests.engine.private_engine import PrivateEngine
from tests.engine.relay import Relay
from tests.engine.site import SERVE, spec
from tests.stress.server_process import Server

from paperspace.gradient import Client, errors

CUTS, KILLS = 10, 2

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
        self.seconds: list[float] = []
        self._client = Client("key", "http://127.0.0.1:8600/graphql", max_retries=0)
        self._stop_requested = threading.Event()

    def run(self) -> None:
        """Send requests until the end."""
        number = 0
        while not self._stop_requested.wait(0.01):
            api, number = self._client.deployments, number + 1
            begin = time.monotonic()
            try:
                if number % 10:
                    api.list_deployments()
                else:
                    api.create_deployment(f"n{number}", "p", {"image": "web:1", "resources": {"replicas": 0}})
            except errors.GradientError:
                continue  # the server is down
            self.seconds.append(time.monotonic() - begin)

    def end(self) -> None:
        """Stop, and print the times."""
        self._stop_requested.set()
        self.join()
        self._client.close()
        cuts = statistics.quantiles(self.seconds, n=100)
        print(
            f"{len(self.seconds)} requests beside it: median {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms, "
            f"maximum {max(self.seconds) * 1000:.0f} ms"
        )


def logs(docker: PrivateEngine, folder: Path, count: int) -> None:
    """Write so many lines while connections are cut and the server is killed; check that each is stored once, in order."""
    with Relay(folder / "relay.sock", docker.socket) as relay:
        server = Server(docker, folder, docker_host=relay.url)
        server.start()
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
        lines = wait_until_done(server.client, created["id"])
        print(f"{len(lines)} lines in {time.monotonic() - begin:.0f} s, {CUTS} cuts, {KILLS} SIGKILLs of the server")
        requests.end()
        check(lines, count // 1000 * 500)
        measure_delay(server)
        server.end()


def wait_until_done(client: Client, id_: str) -> list[str]:
    """Wait for the last line, and return all."""
    while [line["message"] for line in client.deployments.get_deployment_logs(id_, tail=1)] != ["done"]:
        time.sleep(0.2)
    begin = time.monotonic()
    lines = [line["message"] for line in client.deployments.get_deployment_logs(id_)]
    print(f"read through the API in {time.monotonic() - begin:.1f} s")
    return lines


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
    delays = []
    for line in server.client.deployments.get_deployment_logs(created["id"], follow=True, tail=0):
        delays.append((datetime.now(UTC) - datetime.fromisoformat(line["dtCreated"])).total_seconds())
        if len(delays) == 30:
            break
    print(
        f"a line is seen by `logs --follow` after {statistics.median(delays):.2f} s (median), "
        f"{max(delays):.2f} s (maximum of {len(delays)})"
    )
