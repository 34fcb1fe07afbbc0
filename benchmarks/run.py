"""One run, in the environment of the peers."""

from __future__ import annotations

import argparse
import json
import os
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from paperspace.gradient._core.documents import load_document
from paperspace.gradient.server import LocalServer

from . import processes, report, works
from .serving import child, serving
from .timing import Work

PAGE = Path(__file__).resolve().parents[1] / "docs/performance.md"
MARKS = ("<!-- The last run of scripts/benchmark. -->\n", "<!-- Its end. -->\n")
ITERATED = 100_000


def parser() -> argparse.ArgumentParser:
    """The options of scripts/benchmark."""
    options = argparse.ArgumentParser(
        prog="scripts/benchmark",
        description="Measures the library beside its peers, interleaved in one run; ratios are what counts. "
        "The first run installs the peers into an environment of their own.",
    )
    options.add_argument("--rounds", type=int, default=11, help="rounds of each work (default: 11)")
    options.add_argument("--only", metavar="WORD", default="", help="only the works whose names contain it")
    options.add_argument("--json", action="store_true", help="print the result as JSON, in seconds")
    options.add_argument("--keep", action="store_true", help="put the result into docs/performance.md")
    return options


def main() -> int:
    """Runs it; the exit code is 1 where a goal is missed."""
    options = parser().parse_args()
    wanted = {name for name in report.NAMES if options.only in name}
    if not wanted:
        parser().error(f"no work has {options.only!r} in its name; there are: {'; '.join(report.NAMES)}")
    official_python = Path(os.environ["OFFICIAL_PYTHON"])
    measured: dict[str, Work] = {}
    memory = None
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = _certificate(Path(folder))
        # What each of the clients reads.
        os.environ |= {"SSL_CERT_FILE": str(certificate), "REQUESTS_CA_BUNDLE": str(certificate)}
        tls = ssl.create_default_context(cafile=str(certificate))
        with child("-m", "benchmarks.stub", certificate, key) as port:
            url = f"https://localhost:{port}/graphql"
            for work in _works(url, tls, official_python, options.rounds, wanted):
                measured[work.name] = work
                print(f"{work.name}: done", file=sys.stderr)
            if report.MEMORY in wanted:
                memory = processes.memory(url, ITERATED)
    reached = list(report.results(measured, memory))
    print(
        json.dumps(report.data(measured.values(), reached), indent=2)
        if options.json
        else report.text(measured.values(), reached)
    )
    if options.keep:
        _keep(report.markdown(measured.values(), reached))
    return 0 if all(result.met for result in reached) else 1


def _works(url: str, tls: ssl.SSLContext, official_python: Path, rounds: int, wanted: set[str]) -> Iterator[Work]:
    """Each work that is wanted, one after the other, so that none disturbs another."""

    def command() -> Iterator[Work]:
        with LocalServer() as server:
            yield processes.commands(server.url, server.api_key, official_python, rounds)

    query = load_document("Deployment").text
    groups: dict[tuple[str, ...], Callable[[], Iterable[Work]]] = {
        ("import",): lambda: [processes.imports(official_python, rounds)],
        ("first call",): lambda: [processes.first_calls(url, query, rounds)],
        ("get, synchronous",): lambda: [works.synchronous(url, tls, rounds)],
        ("get, asynchronous", "get, 32 at once", "list of 10,000"): lambda: works.asynchronous(
            url, tls, rounds, wanted
        ),
        ("1,000 creates, 32 at once",): lambda: [works.creates(url, tls, rounds)],
        ("local server: get", "local server: list of 100", "local server: create"): lambda: serving(rounds, wanted),
        ("gradient deployments list",): command,
    }
    for names, group in groups.items():
        if wanted.intersection(names):
            yield from group()


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that vouches for itself, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *curve, *name, *made], check=True, capture_output=True)
    return certificate, key


def _keep(table: str) -> None:
    """Puts the result between the marks of the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    PAGE.write_text(f"{before}{MARKS[0]}\n{table}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
