"""What functions really do with a server that has another schema.

`broken_functions` starts the local server with the changed schema, on a database that has deployments, and calls every
function in each way that sends another request. A function breaks if one of its calls ends in an error. Where the
type of a field has changed, the calls are repeated with each kind of value that the new type allows there.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

from graphql import GraphQLSchema, build_schema
from tests.schema.other_schema import Field, Value, changed_fields, executable

from paperspace.gradient import Client, DeploymentFailedError
from paperspace.gradient._core import retry
from paperspace.gradient.deployments import _queries
from paperspace.gradient.server import LocalServer, delay, drop
from paperspace.gradient.server.engines import simulation
from paperspace.gradient.server.graphql import documents, execution
from paperspace.gradient.server.graphql import schema as server_schema
from paperspace.gradient.server.http import routes
from paperspace.gradient.server.http.injected_faults import InjectedFaults

FULL_SPEC: Any = {
    "image": "tensorflow/serving",
    "port": 8501,
    "command": ["serve"],
    "containerRegistry": "docker",
    "enabled": True,
    "env": [{"name": "A", "value": "b"}],
    "models": [{"id": "m1", "path": "/m1"}],
    "protocol": "http2",
    "repositories": {
        "dataset": "d1",
        "mountPath": "/d1",
        "repositories": [{"name": "r", "url": "https://r", "ref": "main", "username": "u", "password": "p"}],
    },
    "resources": {
        "instanceType": "A100",
        "replicas": 1,
        "autoscaling": {
            "enabled": True,
            "maxReplicas": 3,
            "metrics": [{"metric": "cpu", "summary": "average", "value": 80.5}],
        },
    },
}
# A lost create is recognised by its spec, so it has no field that a changed server returns with another value.
LOST_SPEC = copy.deepcopy(FULL_SPEC)
LOST_SPEC["resources"]["autoscaling"]["metrics"][0]["value"] = 80
del LOST_SPEC["protocol"]
MINIMAL_SPEC: Any = {"image": "nginx"}
NULL_SPEC: Any = {**dict.fromkeys(FULL_SPEC), "image": "nginx"}
NULLS_INSIDE: Any = {
    "image": "nginx",
    "models": [{"id": "m1", "path": None}],
    "repositories": {
        "dataset": None,
        "mountPath": None,
        "repositories": [{"name": "r", "url": "https://r", "ref": None, "username": None, "password": None}],
    },
    "resources": {
        "instanceType": None,
        "replicas": None,
        "autoscaling": {"enabled": False, "maxReplicas": None, "metrics": None},
    },
}
SPECS = (FULL_SPEC, MINIMAL_SPEC, NULL_SPEC, NULLS_INSIDE)
FAILING_SPEC: Any = {**MINIMAL_SPEC, "env": [{"name": "GRADIENT_SIMULATE", "value": "fail"}]}


class Prepared(NamedTuple):
    """A folder with a database that has deployments, and their ids by name."""

    folder: Path
    ids: dict[str, str]


def prepare(folder: Path) -> Prepared:
    """Create deployments with the pinned schema."""
    ids = {}
    with (
        _server(folder, server_schema.executable_schema()) as server,
        Client(server.api_key, server.url, max_poll_interval=0.001) as client,
    ):
        create, update = client.deployments.create_deployment, client.deployments.update_deployment
        for name, spec in (
            ("full", FULL_SPEC),
            ("minimal", MINIMAL_SPEC),
            ("target", FULL_SPEC),
            ("stopped", {**FULL_SPEC, "enabled": False}),
            ("stopped minimal", {**MINIMAL_SPEC, "enabled": False}),
            ("failing", FAILING_SPEC),
            ("deleted", MINIMAL_SPEC),
        ):
            ids[name] = create(
                name, "p1" if name in {"full", "minimal"} else "p3", {**spec, "enabled": True, "image": "older"}, "c1"
            )["id"]
            update(id=ids[name], spec=spec, cluster_id="c2")
        for number in range(21):  # more rollouts than a page has
            update(id=ids["stopped"], spec={**FULL_SPEC, "enabled": False, "port": number + 1})
        create("many", "p2", {**MINIMAL_SPEC, "resources": {"replicas": 101}})
        wait = client.deployments.wait_for_deployment
        assert [wait(ids[name])["state"] for name in ("full", "minimal", "stopped")] == ["ready", "ready", "stopped"]
    return Prepared(folder, ids)


def broken_functions(prepared: Prepared, sdl: str, old_names: dict[str, str]) -> dict[str, Exception]:
    """Return the functions that break with this schema, each with its error.

    Args:
        prepared: What the server has before the functions are called.
        sdl: The schema.
        old_names: The names of renamed types in the pinned schema.
    """
    changes: list[dict[Field, Value]] = [{}]
    for field, values in changed_fields(build_schema(sdl), old_names):
        changes += [{field: value} for value in values]
    broken: dict[str, Exception] = {}
    for change in changes:
        with TemporaryDirectory() as folder:
            shutil.copytree(prepared.folder, folder, dirs_exist_ok=True)
            broken |= _run(Prepared(Path(folder), prepared.ids), executable(sdl, old_names, change), broken)
    return broken


def _run(prepared: Prepared, schema: GraphQLSchema, known: dict[str, Exception]) -> dict[str, Exception]:
    """Call every function that is not known to break; return those that break."""
    broken: dict[str, Exception] = {}
    with (
        _server(prepared.folder, schema) as server,
        Client(server.api_key, server.url, max_retries=0, timeout=120, max_poll_interval=0.001) as client,
    ):
        for function, call in _calls(server, client, prepared.ids):
            if function in known or function in broken:
                continue
            try:
                call()
            except DeploymentFailedError:
                pass  # the correct result for the deployment that fails
            except Exception as error:  # noqa: BLE001  # whatever it raises, it breaks
                broken[function] = error
            server._middleware.injected = InjectedFaults()  # without what is left
    return broken


@contextmanager
def _server(folder: Path, schema: GraphQLSchema) -> Iterator[LocalServer]:
    """A server that knows no idempotency keys, with pages that need few requests."""
    with (
        patch.object(documents, "executable_schema", lambda: schema),
        patch.object(execution, "executable_schema", lambda: schema),
        patch.object(retry, "FIRST_BACKOFF", 0.001),
        patch.object(_queries, "MAX_PAGE", 1),
        patch.object(simulation, "MAX_REPLICAS", 101),
        patch.object(routes, "IDEMPOTENCY_KEY", "X-Not-Sent"),
        LocalServer(
            database=folder / "database.sqlite", runtime=simulation.Simulation(step=timedelta(milliseconds=1))
        ) as server,
    ):
        yield server


def _calls(server: LocalServer, client: Client, ids: dict[str, str]) -> list[tuple[str, Callable[[], object]]]:
    """Return calls of every function, each with the name of the function."""
    functions = client.deployments
    create, update, get = functions.create_deployment, functions.update_deployment, functions.get_deployment
    retrying = client.with_options(max_retries=1).deployments

    def lost_create() -> object:
        server.inject_fault(drop(executed=True))
        return retrying.create_deployment("lost", "p1", LOST_SPEC, "c1")

    def lost_apply() -> object:
        server.inject_fault(delay(0), drop(executed=True))
        return retrying.apply_deployment("applied lost", "p1", LOST_SPEC, "c1")

    calls: list[tuple[str, Callable[[], object]]] = [
        ("list_deployments", partial(functions.list_deployments, project_id="p1")),
        ("list_deployments", partial(functions.list_deployments, "full", cluster_id="c1")),
        ("iter_deployments", lambda: list(functions.iter_deployments(project_id="p1"))),
        ("any call with name= in place of an id", partial(functions._find_deployments, "full", "p1")),
        ("get_deployment", partial(get, ids["full"])),
        ("get_deployment", partial(get, ids["minimal"])),
        ("get_deployment_spec", partial(functions.get_deployment_spec, ids["full"])),
        ("get_deployment_history", partial(functions.get_deployment_history, ids["full"])),
        ("iter_deployment_history", lambda: list(functions.iter_deployment_history(ids["full"]))),
        ("get_deployment_status", partial(functions.get_deployment_status, ids["full"])),
        ("get_deployment_status", partial(functions.get_deployment_status, ids["minimal"])),
        ("get_deployment_status", partial(functions.get_deployment_status, ids["stopped"])),
        ("list_deployment_statuses", partial(functions.list_deployment_statuses, project_id="p2")),
        ("list_deployment_statuses", partial(functions.list_deployment_statuses, project_id="p3")),
        ("watch_deployment", lambda: list(functions.watch_deployment(ids["full"]))),
        ("watch_deployment", lambda: list(functions.watch_deployment(ids["stopped"]))),
        ("wait_for_deployment", partial(functions.wait_for_deployment, ids["full"])),
        ("wait_for_deployment", partial(functions.wait_for_deployment, ids["failing"])),
        ("wait_for_deployment", partial(functions.wait_for_deployment, ids["stopped"])),
        ("get_deployment_events", partial(functions.get_deployment_events, ids["full"])),
        ("gradient deployments events", lambda: next(functions._follow_deployment_events(ids["full"], None))),
        ("get_deployment_metrics", partial(functions.get_deployment_metrics, ids["full"])),
        ("gradient deployments top", partial(functions._get_latest_metrics, ids["full"], None)),
        ("gradient deployments top", partial(functions._get_latest_metrics, None, "p1")),
        ("get_deployment_logs", lambda: list(functions.get_deployment_logs(ids["full"]))),
        ("get_deployment_logs", lambda: list(functions.get_deployment_logs(ids["full"], tail=1))),
        ("get_deployment_logs(follow=True)", lambda: list(functions.get_deployment_logs(ids["stopped"], follow=True))),
        ("diff_deployment", partial(functions.diff_deployment, "full", "p1", MINIMAL_SPEC, "c1")),
        ("gradient deployments get", partial(functions._get_deployment_details, ids["full"])),
        ("create_deployment", lost_create),
        ("update_deployment", partial(update, "target", "p3", MINIMAL_SPEC)),
        ("apply_deployment", lost_apply),
        ("apply_deployment", partial(functions.apply_deployment, "target", "p3", FULL_SPEC, "c1")),
    ]
    for number, spec in enumerate(SPECS):
        calls += [
            ("create_deployment", partial(create, f"new {number}", "p1", spec)),
            ("update_deployment", partial(update, id=ids["target"], spec=spec, cluster_id="c1")),
            ("apply_deployment", partial(functions.apply_deployment, f"applied {number}", "p1", spec)),
        ]
    for name in ("full", "minimal"):
        calls += [
            ("patch_deployment", partial(functions.patch_deployment, ids[name], image="newer")),
            ("scale_deployment", partial(functions.scale_deployment, ids[name], 2)),
            ("stop_deployment", partial(functions.stop_deployment, ids[name])),
            ("restart_deployment", partial(functions.restart_deployment, ids[name])),
            ("rollback_deployment", partial(functions.rollback_deployment, ids[name], previous=True)),
        ]
    for name, spec in (("succeeds", FULL_SPEC), ("fails", FAILING_SPEC)):
        env = {"GRADIENT_SIMULATE": "healthy" if name == "succeeds" else "fail"}
        calls += [
            ("create_deployment(wait=True)", partial(create, name, "p1", spec, wait=True)),
            ("update_deployment(wait=True)", partial(update, id=ids["target"], spec=spec, wait=True)),
            ("patch_deployment(wait=True)", partial(functions.patch_deployment, ids["target"], env=env, wait=True)),
            ("restart_deployment(wait=True)", partial(functions.restart_deployment, ids["target"], wait=True)),
            ("scale_deployment(wait=True)", partial(functions.scale_deployment, ids["target"], 3, wait=True)),
            ("stop_deployment(wait=True)", partial(functions.stop_deployment, ids["target"], wait=True)),
            ("start_deployment(wait=True)", partial(functions.start_deployment, ids["target"], wait=True)),
            (
                "rollback_deployment(wait=True)",
                partial(functions.rollback_deployment, ids["target"], previous=True, wait=True),
            ),
            (
                "apply_deployment(wait=True)",
                partial(functions.apply_deployment, f"{name} too", "p1", spec, wait=True),
            ),
        ]
    calls += [
        ("update_deployment", partial(update, id=ids["target"], name="renamed")),
        ("update_deployment(wait=True)", partial(update, id=ids["stopped"], cluster_id="c3", wait=True)),
        ("patch_deployment(wait=True)", partial(functions.patch_deployment, ids["stopped"], image="new", wait=True)),
        ("restart_deployment(wait=True)", partial(functions.restart_deployment, ids["stopped"], wait=True)),
        ("scale_deployment(wait=True)", partial(functions.scale_deployment, ids["stopped"], 3, wait=True)),
        ("stop_deployment(wait=True)", partial(functions.stop_deployment, ids["stopped"], wait=True)),
        (
            "rollback_deployment(wait=True)",
            partial(functions.rollback_deployment, ids["stopped"], previous=True, wait=True),
        ),
        (
            "apply_deployment(wait=True)",
            partial(functions.apply_deployment, "stopped", "p3", {**MINIMAL_SPEC, "enabled": False}, wait=True),
        ),
        ("start_deployment", partial(functions.start_deployment, ids["stopped"])),
        ("start_deployment", partial(functions.start_deployment, ids["stopped minimal"])),
        ("delete_deployment", partial(functions.delete_deployment, ids["deleted"])),
    ]
    return calls
