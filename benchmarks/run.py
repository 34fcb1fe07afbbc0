"""The command: run the measurements and print the report. It runs in the environment of the other clients."""

from __future__ import annotations

import argparse
import json
import os
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tests.faults.certificates import make_certificate

from paperspace.gradient._core.documents import load_document
from paperspace.gradient.server import LocalServer

from . import calls, page, processes, report
from .child import child
from .serving import serving
from .timing import Measurement

ITERATED = 100_000


def parser() -> argparse.ArgumentParser:
    """Make the parser of the options."""
    options = argparse.ArgumentParser(
        prog="scripts/benchmark",
        description="Compare the speed of the library with other clients. All take turns in one run; the ratios count. "
        "The first run installs the other clients into a separate environment. --growth measures how calls of the "
        "local server depend on the number of deployments instead; it has its own --help.",
    )
    options.add_argument("--rounds", type=int, default=11, help="rounds of each measurement (default: 11)")
    options.add_argument("--only", metavar="WORD", default="", help="only the measurements whose names contain WORD")
    options.add_argument("--json", action="store_true", help="print the results as JSON, in seconds")
    options.add_argument("--keep", action="store_true", help="write the results into docs/performance.md")
    return options


def main() -> int:
    """Run the measurements; the exit code is 1 if a goal is missed."""
    options = parser().parse_args()
    wanted = {name for name in report.NAMES if options.only in name}
    if not wanted:
        parser().error(f"no measurement has {options.only!r} in its name; the names are: {'; '.join(report.NAMES)}")
    official_python = Path(os.environ["OFFICIAL_PYTHON"])
    measured: dict[str, Measurement] = {}
    memory = None
    with tempfile.TemporaryDirectory() as folder:
        certificate, key, _ = make_certificate(Path(folder))
        # Each of the clients reads one of these.
        os.environ |= {"SSL_CERT_FILE": str(certificate), "REQUESTS_CA_BUNDLE": str(certificate)}
        tls = ssl.create_default_context(cafile=str(certificate))
        with child("-m", "benchmarks.stub", certificate, key) as port:
            url = f"https://localhost:{port}/graphql"
            for measurement in _measurements(url, tls, official_python, options.rounds, wanted):
                measured[measurement.name] = measurement
                print(f"{measurement.name}: done", file=sys.stderr)
            if report.MEMORY in wanted:
                memory = processes.memory(url, ITERATED)
    results = list(report.compare(measured, memory))
    print(
        json.dumps(report.data(measured.values(), results), indent=2)
        if options.json
        else report.text(measured.values(), results)
    )
    if options.keep:
        page.write(page.COMPARISON, report.markdown(measured.values(), results))
    return 0 if all(result.reached for result in results) else 1


def _measurements(
    url: str, tls: ssl.SSLContext, official_python: Path, rounds: int, wanted: set[str]
) -> Iterator[Measurement]:
    """Run the wanted measurements, one after the other."""

    def command() -> Iterator[Measurement]:
        with LocalServer() as server:
            yield processes.commands(server.url, server.api_key, official_python, rounds)

    query = load_document("Deployment").text
    groups: dict[tuple[str, ...], Callable[[], Iterable[Measurement]]] = {
        ("import",): lambda: [processes.imports(official_python, rounds)],
        ("first call",): lambda: [processes.first_calls(url, query, rounds)],
        ("get, sync",): lambda: [calls.sync_gets(url, tls, rounds)],
        ("get, async", "get, 32 concurrent", "list of 10,000"): lambda: calls.async_calls(url, tls, rounds, wanted),
        ("1,000 creates, 32 concurrent",): lambda: [calls.creates(url, tls, rounds)],
        ("local server: get", "local server: list of 100", "local server: create"): lambda: serving(rounds, wanted),
        ("gradient deployments list",): command,
    }
    for names, group in groups.items():
        if wanted.intersection(names):
            yield from group()


if __name__ == "__main__":
    sys.exit(main())
