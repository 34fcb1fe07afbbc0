"""What the fields mean: one small function for each that is not simply an item of its parent.

Arguments keep the names that they have in the schema. What is nested in rows is loaded for their whole batch.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from graphql import GraphQLResolveInfo

from paperspace.gradient._shared.spec_rules import DEFAULT_REPLICAS, DEFAULT_SUMMARY, name_problems, spec_problems
from paperspace.gradient.server.engines import workloads
from paperspace.gradient.server.errors import refuse
from paperspace.gradient.server.graphql.pagination import Page, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperspace.gradient._shared.problems import Problem
    from paperspace.gradient.server.engines.workloads import Workloads
    from paperspace.gradient.server.storage.batching import Row
    from paperspace.gradient.server.storage.database import Database, Nested
    from paperspace.gradient.server.storage.store import Store

Data = Mapping[str, Any]


class Context(NamedTuple):
    """What resolvers work with, and the address that the server is reached at."""

    database: Database
    store: Store
    workloads: Workloads
    base_url: str


Info = GraphQLResolveInfo[Context]


# Query


def _deployment(_root: None, info: Info, **arguments: Any) -> Row | None:
    return info.context.store.deployments_by_id([arguments["id"]]).get(arguments["id"])


def _deployments(_root: None, info: Info, **arguments: Any) -> Page:
    window = Window.of(arguments, newest_first=True)
    name = arguments.get("name")
    return info.context.store.deployments(
        window, name=None if name is None else _normalized(name), project_id=arguments.get("projectId")
    )


# Mutation


def _create(_root: None, info: Info, **arguments: Any) -> dict[str, Row]:
    given = _checked(arguments["input"])
    deployment = info.context.store.create_deployment(
        name=given["name"], project_id=given["projectId"], cluster_id=given.get("clusterId"), data=given["spec"]
    )
    return {"deployment": deployment}


def _update(_root: None, info: Info, **arguments: Any) -> dict[str, Row]:
    given = _checked(arguments["input"])
    deployment = info.context.store.update_deployment(
        given["id"],
        name=given.get("name"),
        project_id=given.get("projectId"),
        cluster_id=given.get("clusterId"),
        data=given.get("spec"),
    )
    return {"deployment": deployment}


def _delete(_root: None, info: Info, **arguments: Any) -> dict[str, Row]:
    return {"deployment": info.context.store.delete_deployment(arguments["input"]["id"])}


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    """The input of a mutation, its name normalised, once the rules for name and spec are met."""
    problems: list[Problem] = []
    name, spec = given.get("name"), given.get("spec")
    if name is not None:
        given = {**given, "name": _normalized(name)}
        problems += name_problems(given["name"], ("input", "name"))
    if spec is not None:
        problems += spec_problems(spec, ("input", "spec"))
    refuse(problems)
    return given


def _normalized(name: str) -> str:
    """The name with each character in its composed form, so that names that look the same are the same."""
    return unicodedata.normalize("NFC", name)


# Deployment, DeploymentSpec and DeploymentRollout


def _specs(deployment: Row, info: Info, **arguments: Any) -> Page:
    window = Window.of(arguments, newest_first=True)
    cluster_id = arguments.get("clusterId")
    store = info.context.store
    pages = deployment.batch.once(
        ("specs", window, cluster_id), lambda batch: store.specs(batch.each("id"), window, cluster_id=cluster_id)
    )
    return pages[deployment["id"]]


def _log(deployment: Row, info: Info, **arguments: Any) -> Row | None:
    name, context = arguments["instanceName"], info.context
    logs = deployment.batch.once(("log", name), lambda batch: context.workloads.log(batch.each("id"), name))
    return logs.get(deployment["id"])


def _parent_deployment(row: Row, info: Info) -> Row | None:
    store = info.context.store
    found = row.batch.once("deployment", lambda batch: store.deployments_by_id(batch.each("deploymentId")))
    return found.get(row["deploymentId"])


def _spec_cluster(spec: Row, info: Info) -> Row | None:
    store = info.context.store
    found = spec.batch.once("cluster", lambda batch: store.clusters_by_id(batch.each("clusterId")))
    return found.get(spec["clusterId"])


def _spec_data(spec: Row, _info: Info) -> Data:
    data: Data = json.loads(spec["data"])
    return data


def _spec_actor(spec: Row, _info: Info) -> dict[str, str]:
    return {"fullName": spec["actor"]}


def _spec_endpoint_url(spec: Row, info: Info) -> str:
    return f"{info.context.base_url}/endpoints/{spec['deploymentId']}"


def _cluster_fqdn(_cluster: Row, info: Info) -> str | None:
    return urlsplit(info.context.base_url).hostname  # every endpoint is on this very server


def _available_replicas(run: Row, _info: Info) -> int:
    available: int = run["readyReplicas"]  # what is ready counts at once
    return available


# Connections


def _edges(page: Page, _info: Info) -> list[dict[str, object]]:
    return page.edges()


def _nodes(page: Page, _info: Info) -> Sequence[Row]:
    return page.rows


def _page_info(page: Page, _info: Info) -> dict[str, object]:
    return page.info()


# Rollouts, runs, instances, their states, logs and lines


def _nested(nested: Nested) -> Callable[..., Page]:
    def resolve(parent: Row, info: Info, **arguments: Any) -> Page:
        window = Window.of(arguments, newest_first=nested.newest_first)
        database = info.context.database
        pages = parent.batch.once((nested, window), lambda batch: database.nested(nested, batch.each("id"), window))
        return pages[parent["id"]]

    return resolve


# What a spec leaves out where the schema promises a value


def _or(field: str, default: object) -> Callable[[Data, Info], object]:
    def resolve(data: Data, _info: Info) -> object:
        value = data.get(field)
        return default if value is None else value

    return resolve


RESOLVERS: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("Query", "deployment"): _deployment,
    ("Query", "deployments"): _deployments,
    ("Mutation", "createDeployment"): _create,
    ("Mutation", "updateDeployment"): _update,
    ("Mutation", "deleteDeployment"): _delete,
    ("Deployment", "deploymentSpecs"): _specs,
    ("Deployment", "deploymentRollouts"): _nested(workloads.ROLLOUTS),
    ("Deployment", "log"): _log,
    ("Deployment", "logs"): _nested(workloads.LOGS),
    ("DeploymentLog", "lines"): _nested(workloads.LINES),
    ("DeploymentRollout", "deployment"): _parent_deployment,
    ("DeploymentRollout", "deploymentRuns"): _nested(workloads.RUNS_OF_ROLLOUT),
    ("DeploymentRun", "availableReplicas"): _available_replicas,
    ("DeploymentRun", "deploymentRunInstances"): _nested(workloads.INSTANCES),
    ("DeploymentRunInstance", "history"): _nested(workloads.STATES),
    ("DeploymentSpec", "deployment"): _parent_deployment,
    ("DeploymentSpec", "cluster"): _spec_cluster,
    ("DeploymentSpec", "data"): _spec_data,
    ("DeploymentSpec", "actor"): _spec_actor,
    ("DeploymentSpec", "endpointUrl"): _spec_endpoint_url,
    ("DeploymentSpec", "deploymentRuns"): _nested(workloads.RUNS_OF_SPEC),
    ("Cluster", "fqdn"): _cluster_fqdn,
    ("DeploymentSpecData", "resources"): _or("resources", {}),
    ("DeploymentSpecResources", "replicas"): _or("replicas", DEFAULT_REPLICAS),
    ("DeploymentSpecAutoscaling", "metrics"): _or("metrics", []),
    ("DeploymentSpecAutoscalingMetricObject", "summary"): _or("summary", DEFAULT_SUMMARY),
}

# The fields that every connection has.
CONNECTION_RESOLVERS: Mapping[str, Callable[..., Any]] = {
    "edges": _edges,
    "nodes": _nodes,
    "pageInfo": _page_info,
}
