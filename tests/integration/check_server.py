"""Check that a server supports the documented calls, and print the differences.

The check makes the calls in a project of its own, and deletes its deployments at the end. It compares what each call
returns, and its first request, with tests/integration/expected.json. Ids, URLs, names of people and the number of
pages may differ. Without a URL, it checks a local server. With a URL, the API key comes from the environment.
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

# The expected errors of the documented calls.
EXPECTED_ERRORS = {"ConflictError", "NotFoundError"}

# More than one page, even if a server returns at most ten items per page.
MANY = 12

Record = dict[str, Any]


def spec(port: int = 8501, replicas: int = 1) -> DeploymentSpecInput:
    """Make the spec of the documentation."""
    return {
        "image": "tensorflow/serving",
        "port": port,
        "resources": {"instanceType": "A100", "replicas": replicas},
    }


class Check:
    """The documented calls in a separate project; each step records its result and its requests."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.functions = client.deployments
        self.project = f"integration-{uuid4()}"
        self.sent: list[Record] = []
        self.steps: dict[str, Record] = {}

    def step(self, title: str, call: Callable[[], Any]) -> Any:
        """Make a call and record it."""
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
        """Return the requests, without those for further pages, and without retries."""
        first = [request for request in self.sent if not {"after", "specsAfter"} & set(request["variables"])]
        return [request for request, before in zip(first, [None, *first], strict=False) if request != before]

    def run(self) -> None:
        """Make all calls."""
        project, functions, step = self.project, self.functions, self.step
        functions.list_deployments(
            project_id=project
        )  # raises an error here if the server cannot be reached or refuses the API key
        created = step("create_deployment", lambda: functions.create_deployment(NAME, project, spec()))
        if created is None:
            return
        key = created["id"]
        taken = "create_deployment, the name taken"
        step(taken, lambda: functions.create_deployment(NAME, project, spec()))
        # If the server reports an invalid value and not a conflict, the library looks the name up.
        del self.steps[taken]["sends"][1:]
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
        """Create more than a page of deployments and specs."""
        for port in range(1, MANY + 1):
            self.functions.update_deployment(id=key, spec=spec(port))
            self.functions.create_deployment(f"{NAME} {port}", self.project, spec(port))

    def cluster_of(self, key: str) -> str | None:
        """Return the cluster of a deployment; None if the server does not return one."""
        with suppress(GradientError):
            data: Any = self.client.execute(CLUSTER, {"id": key})
            cluster = data["deployment"]["deploymentSpecs"]["nodes"][0]["cluster"]
            return cluster and str(cluster["id"])
        return None

    def clean_up(self) -> list[str]:
        """Delete all deployments of the project; return the ids of those that remain."""
        with suppress(GradientError):
            for deployment in self.functions.list_deployments(project_id=self.project, first=None):
                with suppress(GradientError):
                    self.functions.delete_deployment(deployment["id"])
            return [
                deployment["id"] for deployment in self.functions.list_deployments(project_id=self.project, first=None)
            ]
        return [f"the deployments of the project {self.project}"]


def ports(deployment: Any) -> list[int]:
    """Return the ports of the specs of a deployment. Each spec has another one."""
    return [node["data"]["port"] for node in deployment["deploymentSpecs"]["nodes"]]


def names(deployments: list[Any]) -> list[str]:
    """Return the names of deployments."""
    return [deployment["name"] for deployment in deployments]


def normalised(check: Check) -> Any:
    """Replace values that differ from server to server: ids, URLs and names of people."""
    seen = {UNKNOWN_ID: "<unknown id>", check.project: "<project>"}

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

    return clean(check.steps)


def differences(expected: Any, actual: Any, path: str = "") -> Iterator[str]:
    """Describe the differences between two records."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in [*expected, *(key for key in actual if key not in expected)]:
            inner = f"{path}.{key}" if path else key
            if key not in actual:
                yield f"{inner}: missing; expected {as_json(expected[key])}"
            elif key not in expected:
                yield f"{inner}: unexpected; got {as_json(actual[key])}"
            else:
                yield from differences(expected[key], actual[key], inner)
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for index, (one, other) in enumerate(zip(expected, actual, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif expected != actual or type(expected) is not type(actual):
        yield f"{path}: expected {as_json(expected)}, got {as_json(actual)}"


def as_json(value: Any) -> str:
    """Format a value on one line."""
    return json.dumps(value, ensure_ascii=False)


def report(expected: Any, check: Check) -> bool:
    """Print each step and its differences; return whether there are none."""
    actual = normalised(check)
    passed = True
    for title in [*expected, *(title for title in actual if title not in expected)]:
        if title not in actual:
            lines = ["not run, because an earlier step failed"]
        elif title not in expected:
            lines = ["not in expected.json; run scripts/integration --update"]
        else:
            lines = list(differences(expected[title], actual[title]))
            if lines and "because" in check.steps[title]:
                lines.append(f"error: {check.steps[title]['because']}")
        print(f"{'differs' if lines else 'ok':8}{title}")
        for line in lines:
            print(f"        {line}")
        passed = passed and not lines
    return passed


@contextmanager
def record_requests(sent: list[Record]) -> Iterator[None]:
    """Record every request."""
    send = HTTPTransport.send

    async def record(self: HTTPTransport, request: Any, *args: Any, **options: Any) -> Any:
        payload = request.payload
        sent.append(copy.deepcopy({"operation": payload["operationName"], "variables": payload["variables"]}))
        return await send(self, request, *args, **options)

    HTTPTransport.send = record  # type: ignore[method-assign]  # only in this script
    try:
        yield
    finally:
        HTTPTransport.send = send  # type: ignore[method-assign]


@contextmanager
def client_for(url: str | None) -> Iterator[Client]:
    """Yield a client for the server at the URL, or for a local server."""
    if url is not None:
        with Client(api_url=url) as client:
            yield client
    else:
        with LocalServer() as server, Client(server.api_key, server.url) as client:
            yield client


def main(arguments: list[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    parser = argparse.ArgumentParser(prog="scripts/integration", description=__doc__)
    parser.add_argument("url", nargs="?", help="the API URL of the server (default: a local server)")
    parser.add_argument("--update", action="store_true", help="write expected.json from the results of this server")
    options = parser.parse_args(arguments)
    try:
        with client_for(options.url) as client:
            check = Check(client)
            remaining: list[str] = []
            try:
                with record_requests(check.sent):
                    check.run()
            finally:
                remaining = check.clean_up()
    except GradientError as error:
        print(f"The check could not run. {error}", file=sys.stderr)
        return 1
    if options.update:
        failed = [
            title for title, record in check.steps.items() if record.get("raises") not in {None, *EXPECTED_ERRORS}
        ]
        if failed or remaining:
            print(f"Not written, because these steps failed: {', '.join([*failed, *remaining])}", file=sys.stderr)
            return 1
        EXPECTED.write_text(json.dumps(normalised(check), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"Wrote {EXPECTED}")
        return 0
    passed = report(json.loads(EXPECTED.read_text(encoding="utf-8")), check)
    for key in remaining:
        print(f"left    {key}: could not be deleted")
    print(
        "The server supports the documented calls." if passed else "The server does not support the documented calls."
    )
    return int(not passed or bool(remaining))


if __name__ == "__main__":
    raise SystemExit(main())
