"""Resolvers: one small function for each field that is not simply an item of its parent.

Arguments keep their names from the schema. Nested rows are loaded for all rows of the parent's result set at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from graphql import GraphQLResolveInfo

from paperspace.gradient._shared.problems import Problem
from paperspace.gradient._shared.spec_rules import (
    DEFAULT_MAX_REPLICAS,
    DEFAULT_REPLICAS,
    DEFAULT_SUMMARY,
    name_problems,
    normalize_name,
    spec_problems,
    text_problems,
)
from paperspace.gradient.server.engines import observed_state
from paperspace.gradient.server.engines.deployment_events import EVENTS
from paperspace.gradient.server.errors import raise_for_problems
from paperspace.gradient.server.graphql import pagination
from paperspace.gradient.server.graphql.pagination import window_from_arguments
from paperspace.gradient.server.storage import metric_series
from paperspace.gradient.server.storage.store import SPECS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperspace.gradient.server.engines.workloads import Workloads
    from paperspace.gradient.server.storage.database import ChildTable, Database
    from paperspace.gradient.server.storage.log_pages import LogPages
    from paperspace.gradient.server.storage.metric_file import MetricReader
    from paperspace.gradient.server.storage.rows import Row
    from paperspace.gradient.server.storage.store import Store
    from paperspace.gradient.server.storage.window import Page, Window

Data = Mapping[str, Any]


class Context(NamedTuple):
    """What resolvers use: the desired state, the observed state, logs, metrics, and the URLs of endpoints."""

    database: Database
    store: Store
    workloads: Workloads
    logs: LogPages
    metrics: MetricReader
    endpoint_url: Callable[[str], str]
    """Returns the URL of the endpoint of a deployment."""
    database_id: str

    def window(self, arguments: Mapping[str, Any], table: str, *, newest_first: bool) -> Window:
        """Return the rows of a table that the arguments of a connection ask for; `newest_first` is the default order."""
        return window_from_arguments(arguments, table, database_id=self.database_id, newest_first=newest_first)


Info = GraphQLResolveInfo[Context]


# Query


def _deployment(_root: None, info: Info, **arguments: Any) -> Row | None:
    return info.context.store.deployments_by_id([arguments["id"]]).get(arguments["id"])


def _deployments(_root: None, info: Info, **arguments: Any) -> Page:
    window = info.context.window(arguments, "deployments", newest_first=True)
    name = arguments.get("name")
    return info.context.store.deployments(
        window,
        name=None if name is None else normalize_name(name),
        project_id=arguments.get("projectId"),
        cluster_id=arguments.get("clusterId"),
    )


# Mutation: change the desired state, then let the runtime apply it


def _mutation(change: Callable[..., Row]) -> Callable[..., dict[str, Row]]:
    """Return the resolver of a mutation: it applies the change, unless there is the payload of an earlier attempt."""

    def resolve(payload: dict[str, Row], info: Info, **arguments: Any) -> dict[str, Row]:
        if not payload:
            payload["deployment"] = change(info.context, arguments["input"])
        return payload

    return resolve


def _create_deployment(context: Context, input_: dict[str, Any]) -> Row:
    input_ = _checked_input(input_)
    deployment = context.store.create_deployment(
        name=input_["name"], project_id=input_["projectId"], cluster_id=input_.get("clusterId"), data=input_["spec"]
    )
    context.workloads.apply_new_spec(deployment["id"])
    return deployment


def _update_deployment(context: Context, input_: dict[str, Any]) -> Row:
    input_ = _checked_input(input_)
    deployment = context.store.update_deployment(
        input_["id"],
        name=input_.get("name"),
        project_id=input_.get("projectId"),
        cluster_id=input_.get("clusterId"),
        data=input_.get("spec"),
    )
    context.workloads.apply_new_spec(deployment["id"])
    return deployment


def _delete_deployment(context: Context, input_: dict[str, Any]) -> Row:
    deployment = context.store.delete_deployment(input_["id"])
    context.workloads.remove(deployment["id"])
    return deployment


def _checked_input(input_: dict[str, Any]) -> dict[str, Any]:
    """Check the texts and the spec in the input of a mutation; return the input with its name normalized."""
    problems: list[Problem] = []
    name, spec = input_.get("name"), input_.get("spec")
    if name is not None:
        input_ = {**input_, "name": normalize_name(name)}
        problems += name_problems(input_["name"], ("input", "name"))
    for field in ("projectId", "clusterId"):
        problems += text_problems(input_.get(field), ("input", field))
    if spec is not None:
        problems += spec_problems(spec, ("input", "spec"))
    raise_for_problems(problems)
    return input_


# Deployment, DeploymentSpec and DeploymentRollout


def _specs(deployment: Row, info: Info, **arguments: Any) -> Page:
    window = info.context.window(arguments, SPECS.table, newest_first=SPECS.newest_first)
    cluster_id = arguments.get("clusterId")
    store = info.context.store
    pages = deployment.result_set.cached(
        ("specs", window, cluster_id),
        lambda deployments: store.specs(deployments.distinct("id"), window, cluster_id=cluster_id),
    )
    return pages[deployment["id"]]


def _log(deployment: Row, info: Info, **arguments: Any) -> Row | None:
    name, database = arguments["instanceName"], info.context.database
    logs = deployment.result_set.cached(
        ("log", name), lambda deployments: observed_state.log(database, deployments.distinct("id"), name)
    )
    return logs.get(deployment["id"])


def _metrics(deployment: Row, info: Info, **arguments: Any) -> list[dict[str, Any]]:
    step, last = arguments.get("step"), arguments.get("last")
    problems = [Problem(("step",), step, "an integer, 1 or more")] if step is not None and step < 1 else []
    problems += [Problem(("last",), last, "an integer, 0 or more")] if last is not None and last < 0 else []
    raise_for_problems(problems)
    database = info.context.database
    intervals = metric_series.Range.of(database.transaction_time, arguments.get("since"), step, last)
    points = deployment.result_set.cached(
        ("metrics", intervals),
        lambda deployments: info.context.metrics.points(
            deployments.distinct("id"), intervals.first, intervals.last, database.budget
        ),
    )
    found = metric_series.series(points[deployment["id"]], intervals.step)
    return found if last is None else found[max(len(found) - last, 0) :]


def _rollout_spec_id(rollout: Row, _info: Info) -> str:
    spec_id: str = rollout["specId"]
    return spec_id


def _parent_deployment(row: Row, info: Info) -> Row | None:
    store = info.context.store
    deployments = row.result_set.cached(
        "deployment", lambda rows: store.deployments_by_id(rows.distinct("deploymentId"))
    )
    return deployments.get(row["deploymentId"])


def _spec_cluster(spec: Row, info: Info) -> Row | None:
    store = info.context.store
    clusters = spec.result_set.cached("cluster", lambda specs: store.clusters_by_id(specs.distinct("clusterId")))
    return clusters.get(spec["clusterId"])


def _spec_data(spec: Row, _info: Info) -> Data:
    data: Data = json.loads(spec["data"])
    return data


def _spec_actor(spec: Row, _info: Info) -> dict[str, str]:
    return {"fullName": spec["actor"]}


def _spec_endpoint_url(spec: Row, info: Info) -> str:
    return info.context.endpoint_url(spec["deploymentId"])


def _cluster_fqdn(_cluster: Row, info: Info) -> str | None:
    id_ = "id"  # the endpoints of all deployments are in the same domain
    host = urlsplit(info.context.endpoint_url(id_)).hostname
    return host and host.removeprefix(f"d{id_}.")


def _available_replicas(run: Row, _info: Info) -> int:
    available: int = run["readyReplicas"]  # a ready instance counts as available immediately
    return available


# Connections


def _edges(page: Page, _info: Info) -> list[dict[str, object]]:
    return pagination.edges(page)


def _nodes(page: Page, _info: Info) -> Sequence[Row]:
    return page.rows


def _page_info(page: Page, _info: Info) -> dict[str, object]:
    return pagination.page_info(page)


# Rollouts, runs, instances, their states, logs and lines


def _rollouts(deployment: Row, info: Info, **arguments: Any) -> Page:
    window = info.context.window(
        arguments, observed_state.ROLLOUTS.table, newest_first=observed_state.ROLLOUTS.newest_first
    )
    has_instances = bool(arguments.get("hasInstances"))
    database = info.context.database
    pages = deployment.result_set.cached(
        ("rollouts", window, has_instances),
        lambda deployments: observed_state.rollouts(
            database, deployments.distinct("id"), window, has_instances=has_instances
        ),
    )
    return pages[deployment["id"]]


def _child_connection(child: ChildTable) -> Callable[..., Page]:
    def resolve(parent: Row, info: Info, **arguments: Any) -> Page:
        window = info.context.window(arguments, child.table, newest_first=child.newest_first)
        database = info.context.database
        pages = parent.result_set.cached(
            (child, window), lambda parents: database.child_pages(child, parents.distinct("id"), window)
        )
        return pages[parent["id"]]

    return resolve


def _lines(log: Row, info: Info, **arguments: Any) -> Page:
    window = info.context.window(arguments, observed_state.LINES.table, newest_first=observed_state.LINES.newest_first)
    context = info.context
    pages = log.result_set.cached(
        ("lines", window), lambda logs: observed_state.lines(context.database, context.logs, logs.rows, window)
    )
    return pages[log["id"]]


# Fields that a spec may omit, although the schema declares them non-null


def _with_default(field: str, default: object) -> Callable[[Data, Info], object]:
    def resolve(data: Data, _info: Info) -> object:
        value = data.get(field)
        return default if value is None else value

    return resolve


RESOLVERS: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("Query", "deployment"): _deployment,
    ("Query", "deployments"): _deployments,
    ("Mutation", "createDeployment"): _mutation(_create_deployment),
    ("Mutation", "updateDeployment"): _mutation(_update_deployment),
    ("Mutation", "deleteDeployment"): _mutation(_delete_deployment),
    ("Deployment", "deploymentSpecs"): _specs,
    ("Deployment", "deploymentRollouts"): _rollouts,
    ("Deployment", "events"): _child_connection(EVENTS),
    ("Deployment", "log"): _log,
    ("Deployment", "logs"): _child_connection(observed_state.LOGS),
    ("Deployment", "metrics"): _metrics,
    ("DeploymentLog", "lines"): _lines,
    ("DeploymentRollout", "deployment"): _parent_deployment,
    ("DeploymentRollout", "deploymentSpecId"): _rollout_spec_id,
    ("DeploymentRollout", "deploymentRuns"): _child_connection(observed_state.RUNS_OF_ROLLOUT),
    ("DeploymentRun", "availableReplicas"): _available_replicas,
    ("DeploymentRun", "deploymentRunInstances"): _child_connection(observed_state.INSTANCES),
    ("DeploymentRunInstance", "history"): _child_connection(observed_state.STATES),
    ("DeploymentSpec", "deployment"): _parent_deployment,
    ("DeploymentSpec", "cluster"): _spec_cluster,
    ("DeploymentSpec", "data"): _spec_data,
    ("DeploymentSpec", "actor"): _spec_actor,
    ("DeploymentSpec", "endpointUrl"): _spec_endpoint_url,
    ("DeploymentSpec", "deploymentRuns"): _child_connection(observed_state.RUNS_OF_SPEC),
    ("Cluster", "fqdn"): _cluster_fqdn,
    ("DeploymentSpecData", "resources"): _with_default("resources", {}),
    ("DeploymentSpecResources", "replicas"): _with_default("replicas", DEFAULT_REPLICAS),
    ("DeploymentSpecAutoscaling", "maxReplicas"): _with_default("maxReplicas", DEFAULT_MAX_REPLICAS),
    ("DeploymentSpecAutoscaling", "metrics"): _with_default("metrics", []),
    ("DeploymentSpecAutoscalingMetricObject", "summary"): _with_default("summary", DEFAULT_SUMMARY),
}

# The fields of every connection.
CONNECTION_RESOLVERS: Mapping[str, Callable[..., Any]] = {
    "edges": _edges,
    "nodes": _nodes,
    "pageInfo": _page_info,
}
