"""Measurements of whole processes: imports, first calls, the command, memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter

from .peers import ID, KEY
from .timing import Measurement, Turn, interleaved

BARE = "a bare interpreter"

_FIRST_CALL = f"""
from paperspace.gradient import deployments
deployments.get_deployment({ID!r})
"""
_FIRST_CALL_GQL = """
import sys
from gql import Client, gql
from gql.transport.requests import RequestsHTTPTransport
url, key, id = sys.argv[1:]
transport = RequestsHTTPTransport(url=url, headers={"Authorization": f"Bearer {key}"}, verify=True)
request = gql(sys.stdin.read())
request.variable_values = {"id": id, "specsFirst": 100}
Client(transport=transport, fetch_schema_from_transport=False).execute(request)
"""
_MEMORY = """
import sys
from paperspace.gradient import deployments

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

total = int(sys.argv[1])
seen = 0
for _ in deployments.iter_deployments(project_id=str(total)):
    seen += 1
    if seen == 100:
        first = resident()
assert seen == total
print(resident() - first)
"""


def process(arguments: list[str], environment: Mapping[str, str] | None = None, stdin: bytes = b"") -> Turn:
    """Make a turn that runs a process, and measures it from start to end."""

    def turn() -> float:
        start = perf_counter()
        subprocess.run(arguments, env=environment, input=stdin, check=True, capture_output=True)
        return perf_counter() - start

    return turn


def imports(official_python: Path, rounds: int) -> Measurement:
    """Measure imports of the library and of others, without the start of the interpreter."""
    statements = {
        BARE: "",
        "ours": "import paperspace.gradient.deployments",
        "boto3": "import boto3",
        "pydantic": "import pydantic",
        "aiohttp": "import aiohttp",
        "gql with aiohttp": "from gql import Client, gql; from gql.transport.aiohttp import AIOHTTPTransport",
    }
    turns = {name: process([sys.executable, "-c", statement]) for name, statement in statements.items()}
    statement = "from gradient.api_sdk.repositories import gradient_deployments"
    turns["official client"] = process([str(official_python), "-W", "ignore", "-c", statement])
    measurement = interleaved("import", "an import, without the start of Python", turns, rounds)
    bare = measurement.seconds[BARE]
    over = {name: [a - b for a, b in zip(taken, bare, strict=True)] for name, taken in measurement.seconds.items()}
    del over[BARE]
    return measurement._replace(seconds=over)


def first_calls(url: str, query: str, rounds: int) -> Measurement:
    """Measure processes that make one call."""
    environment = _environment(url, KEY)
    gql_command = [sys.executable, "-c", _FIRST_CALL_GQL, url, KEY, ID]
    turns = {
        "ours": process([sys.executable, "-c", _FIRST_CALL], environment),
        "gql with requests": process(gql_command, environment, query.encode()),
    }
    return interleaved("first call", "a process", turns, rounds)


def commands(url: str, key: str, official_python: Path, rounds: int) -> Measurement:
    """Measure `gradient deployments list`."""
    environment = _environment(url, key)
    folder = Path(sys.executable).parent
    command = ["deployments", "list"]
    turns = {
        "ours": process([str(folder / "gradient"), *command], environment),
        "official command": process([str(official_python.with_name("gradient")), *command], environment),
    }
    return interleaved("gradient deployments list", "a process", turns, rounds)


def memory(url: str, total: int) -> float:
    """Return the growth in MB of a process that iterates over so many deployments, after the first page."""
    command = [sys.executable, "-c", _MEMORY, str(total)]
    return float(subprocess.check_output(command, env=_environment(url, KEY)))


def _environment(url: str, key: str) -> dict[str, str]:
    settings = {"PAPERSPACE_API_URL": url, "PAPERSPACE_API_HOST": url, "PAPERSPACE_API_KEY": key}
    return {**os.environ, **settings, "PYTHONWARNINGS": "ignore"}
