"""Holds a server to the documented calls, and says in plain words what it does differently.

Runs them in a project of its own, which it cleans up, and compares what each call returns, and what it sends first,
with tests/integration/expected.json. Ids, addresses and names of people are the server's own business, and so is how
many pages it takes. Without a URL, a fresh local server is held to them; with one, the key comes from the environment.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from paperspace.gradient import APIError, Client, GradientError
from paperspace.gradient._core.transport import HTTPTransport
from paperspace.gradient.server import LocalServer
from paperspace.gradient.types import DeploymentSpecInput

FOLDER = Path(__file__).resolve().parent
EXPECTED = FOLDER / "expected.json"
CLUSTER = FOLDER / "DeploymentCluster.graphql"
UNKNOWN_ID = "00000000-0000-0000-0000-000000000000"
NAME = "integration check"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

# What the documented calls are to be refused with.
REFUSALS = {"ConflictError", "NotFoundError"}

# More than a page of a server that gives ten at a time.
MANY = 12

Record = dict[str, Any]


def spec(port: int = 8501, replicas: int = 1) -> DeploymentSpecInput:
    """The documented spec."""
    return {
        "image": "tensorflow/serving",
        "port": port,
        "resources": {"instanceType": "A100", "replicas": replicas},
    }


class Walk:
    """The documented calls in a project of their own; each step notes what it returned and what it sent."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.functions = client.deployments
        self.project = f"integration-{uuid4()}"
        self.sent: list[Record] = []
        self.steps: dict[str, Record] = {}

    def step(self, title: str, call: Callable[[], Any]) -> Any:
        """Runs one call and notes it."""
        self.sent.clear()
        try:
            returned = call()
        except GradientError as error:
            self.steps[title] = {"sends": self._first_requests(), "raises": type(error).__name__}
            self.steps[title] |= {"because": str(error)} if isinstance(error, APIError) else {}
            return None
        self.steps[title] = {"sends": self._first_requests(), "returns": returned}
        return returned

    def _first_requests(self) -> list[Record]:
        """What was sent, without the requests for further pages, and without resends."""
        first = [request for request in self.sent if not {"after", "specsAfter"} & set(request["variables"])]
        return [request for request, before in zip(first, [None, *first], strict=False) if request != before]

    def run(self) -> None:
        """Takes all the steps."""
        project, functions, step = self.project, self.functions, self.step
        functions.list_deployments(project_id=project)  # a server that cannot be reached, or wants another key, says so
        created = step("create_deployment", lambda: functions.create_deployment(NAME, project, spec()))
        if created is None:
            return
        key = created["id"]
        step("create_deployment, the name taken", lambda: functions.create_deployment(NAME, project, spec()))
        step("get_deployment", lambda: functions.get_deployment(key))
        step("list_deployments by name", lambda: functions.list_deployments(NAME, project))
        step("list_deployments by a part of the name", lambda: functions.list_deployments(NAME[:-1], project))
        cluster = self.cluster_of(key)
        if cluster is not None:
            step("list_deployments by cluster", lambda: functions.list_deployments(None, project, cluster))
        other = f"not-{cluster}"
        step("list_deployments by another cluster", lambda: functions.list_deployments(None, project, other))
        step("update_deployment by name", lambda: functions.update_deployment(NAME, project, spec(replicas=2)))
        step("get_deployment, updated", lambda: functions.get_deployment(key))
        step("update_deployment by id", lambda: functions.update_deployment(id=key, name=f"{NAME} renamed"))
        step("update_deployment, an unknown name", lambda: functions.update_deployment(NAME, project, spec()))
        step(f"{MANY} specs and deployments more", lambda: self.fill(key))
        self.steps[f"{MANY} specs and deployments more"].pop("sends")
        step("get_deployment, many specs", lambda: ports(functions.get_deployment(key)))
        step("list_deployments, many", lambda: names(functions.list_deployments(project_id=project, first=None)))
        step("list_deployments, the first 3", lambda: names(functions.list_deployments(project_id=project, first=3)))
        step("delete_deployment", lambda: functions.delete_deployment(key))
        step("get_deployment, deleted", lambda: functions.get_deployment(key))
        step("delete_deployment, deleted", lambda: functions.delete_deployment(key))
        step("get_deployment, unknown", lambda: functions.get_deployment(UNKNOWN_ID))

    def fill(self, key: str) -> None:
        """Makes more than a page of everything."""
        for port in range(1, MANY + 1):
            self.functions.update_deployment(id=key, spec=spec(port))
            self.functions.create_deployment(f"{NAME} {port}", self.project, spec(port))

    def cluster_of(self, key: str) -> str | None:
        """The cluster that the server chose for a deployment; None where it does not say."""
        with suppress(GradientError):
            data: Any = self.client.execute(CLUSTER, {"id": key})
            cluster = data["deployment"]["deploymentSpecs"]["nodes"][0]["cluster"]
            return cluster and str(cluster["id"])
        return None

    def clean_up(self) -> list[str]:
        """Deletes everything in the project; returns the ids of what is left."""
        with suppress(GradientError):
            for deployment in self.functions.list_deployments(project_id=self.project, first=None):
                with suppress(GradientError):
                    self.functions.delete_deployment(deployment["id"])
            return [left["id"] for left in self.functions.list_deployments(project_id=self.project, first=None)]
        return [f"whatever is in the project {self.project}"]


def ports(deployment: Any) -> list[int]:
    """The ports of a deployment's specs, which tell them apart."""
    return [node["data"]["port"] for node in deployment["deploymentSpecs"]["nodes"]]


def names(deployments: list[Any]) -> list[str]:
    """The names of deployments."""
    return [deployment["name"] for deployment in deployments]


def normalised(walk: Walk) -> Any:
    """The record without what is the server's own: ids are numbered, addresses and people have no names."""
    seen = {UNKNOWN_ID: "<unknown id>", walk.project: "<project>"}

    def clean_text(key: str, text: str) -> str:
        if key == "clusterId":
            return "<another cluster>" if text.startswith("not-") else "<cluster>"
        if key == "endpointUrl" and text.startswith(("http://", "https://")):
            return "<url>"
        if key == "fullName":
            return "<name>"
        return seen.setdefault(text, f"<id {len(seen) - 1}>") if text in seen or UUID.fullmatch(text) else text

    def clean(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: clean(entry, name) for name, entry in value.items() if name != "because"}
        if isinstance(value, list):
            return [clean(entry) for entry in value]
        return clean_text(key, value) if isinstance(value, str) else value

    return clean(walk.steps)


def differences(expected: Any, found: Any, place: str = "") -> Iterator[str]:
    """Where two records differ, in plain words."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in [*expected, *(key for key in found if key not in expected)]:
            inner = f"{place}.{key}" if place else key
            if key not in found:
                yield f"{inner} is missing; expected {shown(expected[key])}"
            elif key not in expected:
                yield f"{inner} is not expected, but there is {shown(found[key])}"
            else:
                yield from differences(expected[key], found[key], inner)
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from differences(one, other, f"{place}[{index}]")
    elif expected != found or type(expected) is not type(found):
        yield f"{place} is {shown(found)}; expected {shown(expected)}"


def shown(value: Any) -> str:
    """A value, on one line."""
    return json.dumps(value, ensure_ascii=False)


def report(expected: Any, walk: Walk) -> bool:
    """Prints each step and what it does differently; True where nothing is."""
    found = normalised(walk)
    fits = True
    for title in [*expected, *(title for title in found if title not in expected)]:
        if title not in found:
            lines = ["was not reached"]
        elif title not in expected:
            lines = ["is not in expected.json; run scripts/integration --update"]
        else:
            lines = list(differences(expected[title], found[title]))
            if lines and "because" in walk.steps[title]:
                lines.append(f"the error says: {walk.steps[title]['because']}")
        print(f"{'differs' if lines else 'ok':8}{title}")
        for line in lines:
            print(f"        {line}")
        fits = fits and not lines
    return fits


@contextmanager
def tapped(sent: list[Record]) -> Iterator[None]:
    """Notes every request that goes out."""
    send = HTTPTransport.send

    async def tap(self: HTTPTransport, request: Any, *args: Any, **options: Any) -> Any:
        payload = request.payload
        sent.append(copy.deepcopy({"operation": payload["operationName"], "variables": payload["variables"]}))
        return await send(self, request, *args, **options)

    HTTPTransport.send = tap  # type: ignore[method-assign]  # a tap, for this script alone
    try:
        yield
    finally:
        HTTPTransport.send = send  # type: ignore[method-assign]


@contextmanager
def client_for(url: str | None) -> Iterator[Client]:
    """A client of the server at the URL, or of a fresh local one."""
    if url is not None:
        with Client(api_url=url) as client:
            yield client
    else:
        with LocalServer() as server, Client(server.api_key, server.url) as client:
            yield client


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="scripts/integration", description=__doc__)
    parser.add_argument("url", nargs="?", help="the server's address; without it, a fresh local server")
    parser.add_argument("--update", action="store_true", help="write expected.json from what the server does")
    options = parser.parse_args(arguments)
    try:
        with client_for(options.url) as client:
            walk = Walk(client)
            left: list[str] = []
            try:
                with tapped(walk.sent):
                    walk.run()
            finally:
                left = walk.clean_up()
    except GradientError as error:
        print(f"The server could not be held to the calls. {error}", file=sys.stderr)
        return 1
    if options.update:
        failed = [title for title, record in walk.steps.items() if record.get("raises") not in {None, *REFUSALS}]
        if failed or left:
            print(f"Not written, as this did not come out: {', '.join([*failed, *left])}", file=sys.stderr)
            return 1
        EXPECTED.write_text(json.dumps(normalised(walk), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"Wrote {EXPECTED}")
        return 0
    fits = report(json.loads(EXPECTED.read_text(encoding="utf-8")), walk)
    for key in left:
        print(f"left    {key} could not be deleted")
    print("The server does what is documented." if fits else "The server does something else than documented.")
    return int(not fits or bool(left))


if __name__ == "__main__":
    raise SystemExit(main())
