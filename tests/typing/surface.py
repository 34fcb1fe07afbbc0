"""Use every public name with its type as an annotation. Checked by mypy and pyright, never run.

Lines that must be an error have an ignore comment for each checker, which reports the comment if there is no error.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import paperspace.gradient
from paperspace.gradient import AsyncClient, Client, configure, deployments
from paperspace.gradient.aio import deployments as async_deployments
from paperspace.gradient.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
    DeploymentFailedError,
    EndpointNotFoundError,
    GradientError,
    InvalidArgumentError,
    InvalidSpecError,
    MalformedResponseError,
    MissingAPIKeyError,
    NotFoundError,
    OutcomeUnknownError,
    PaginationError,
    PartialResultError,
    PermissionDeniedError,
    RateLimitError,
    RedirectError,
    ResponseTooLargeError,
    SchemaError,
    ServerError,
    TLSError,
    WaitTimeoutError,
)
from paperspace.gradient.schema import SchemaReport, diff, pull
from paperspace.gradient.types import (
    Actor,
    AppliedDeployment,
    AutoscalingInput,
    AutoscalingMetricInput,
    ClientOptions,
    Cluster,
    Deployment,
    DeploymentEvent,
    DeploymentMetrics,
    DeploymentRef,
    DeploymentResources,
    DeploymentResourcesInput,
    DeploymentRevision,
    DeploymentSpec,
    DeploymentSpecData,
    DeploymentSpecInput,
    DeploymentSpecs,
    DeploymentStatus,
    EndpointSecurityInput,
    EnvVariableInput,
    HealthCheckExecInput,
    HealthCheckHeaderInput,
    HealthCheckInput,
    HealthChecksInput,
    InstanceStatus,
    LogLine,
    ModelInput,
    NamedSpec,
    PlannedDeployment,
    Protocol,
    RepositoriesInput,
    RepositoryInput,
    RevisedDeployment,
    ServingRevision,
    SpecChange,
    SpecDifference,
    WatchEvent,
)

version: str = paperspace.gradient.__version__

options: ClientOptions = {"timeout": 10.0, "max_retries": 2, "allow_http_hosts": ("host",)}
header: HealthCheckHeaderInput = {"name": "X-Check", "value": "1"}
check_command: HealthCheckExecInput = {"command": ["cat", "/tmp/live"]}
check: HealthCheckInput = {"path": "/ready", "port": 8080, "headers": [header], "periodSeconds": 5}
checks: HealthChecksInput = {"readiness": check, "liveness": {"exec": check_command}}
security: EndpointSecurityInput = {"protected": True, "secret": "web-password"}
metric: AutoscalingMetricInput = {"metric": "cpu", "summary": "average", "value": 80.0}
autoscaling: AutoscalingInput = {"enabled": True, "maxReplicas": 5, "metrics": [metric]}
resources: DeploymentResourcesInput = {"replicas": 1, "instanceType": "A100", "autoscaling": autoscaling}
variable: EnvVariableInput = {"name": "NAME", "value": "value"}
model: ModelInput = {"id": "m1", "path": "/models/m1"}
repository: RepositoryInput = {"name": "code", "url": "https://git.example/code"}
repositories: RepositoriesInput = {"mountPath": "/code", "repositories": [repository]}
protocol: Protocol = "http2"
spec: DeploymentSpecInput = {
    "image": "tensorflow/serving",
    "port": 8501,
    "command": ["serve"],
    "containerRegistry": "registry",
    "enabled": True,
    "env": [variable],
    "models": [model],
    "protocol": protocol,
    "repositories": repositories,
    "resources": resources,
    "healthChecks": checks,
    "endpointSecurity": security,
}


def synchronous() -> None:
    """The sync functions."""
    created: DeploymentRef = deployments.create_deployment("n", "p", spec, None)
    updated: DeploymentRef = deployments.update_deployment(name="n", project_id="p", spec=spec, cluster_id="c")
    loaded: DeploymentSpecInput = deployments.load_spec("paperspace.yaml", image="nginx")
    deployments.create_deployment("n", "p", loaded)
    named: list[NamedSpec] = deployments.load_specs(Path("specs"), "p", env_subst=True)
    deployments.apply_deployment(named[0]["name"], named[0]["projectId"], named[0]["spec"])
    print(named[0]["path"], async_deployments.load_specs("specs"))
    renamed: DeploymentRef = deployments.update_deployment(id=created["id"], name="m")
    deleted: DeploymentRef = deployments.delete_deployment(id=updated["id"])
    listed: list[Deployment] = deployments.list_deployments(name=None, project_id="p", cluster_id=None, first=None)
    streamed: Generator[Deployment] = deployments.iter_deployments(first=3)
    deployment: Deployment = deployments.get_deployment(id=renamed["id"] or deleted["id"] or listed[0]["id"])
    read(deployment)
    read(next(streamed))
    configure(api_key="key", api_url="https://a.example/graphql", timeout=1.0, max_retries=0, allow_http_hosts=("a",))


def read(deployment: Deployment) -> None:
    """The fields of a deployment."""
    specs: DeploymentSpecs = deployment["deploymentSpecs"]
    newest: DeploymentSpec = specs["nodes"][0]
    data: DeploymentSpecData = newest["data"]
    port: int | None = data["port"]
    machine: DeploymentResources | None = data["resources"]
    replicas: int = machine["replicas"] if machine else port or 0
    actor: Actor = newest["actor"]
    name: str | None = actor["fullName"]
    words: list[str | None] = [
        deployment["id"],
        deployment["name"],
        newest["id"],
        newest["endpointUrl"],
        data["image"],
        name,
    ]
    print(words, replicas)


async def asynchronous() -> None:
    """The async functions."""
    created: DeploymentRef = await async_deployments.create_deployment("n", "p", spec)
    updated: DeploymentRef = await async_deployments.update_deployment(id=created["id"], spec=spec)
    deleted: DeploymentRef = await async_deployments.delete_deployment(updated["id"])
    listed: list[Deployment] = await async_deployments.list_deployments()
    streamed: AsyncGenerator[Deployment] = async_deployments.iter_deployments(project_id="p")
    deployment: Deployment = await async_deployments.get_deployment(deleted["id"] or listed[0]["id"])
    read(deployment)
    async for deployment in streamed:
        read(deployment)


def changes_of_state() -> None:
    """The functions that change a deployment depending on its state."""
    applied: AppliedDeployment = deployments.apply_deployment("n", "p", spec, "c", show_secrets=True, wait=True)
    planned: PlannedDeployment = deployments.apply_deployment("n", "p", spec, dry_run=True)
    applied_id: str = applied["id"] + applied["specId"]
    planned_id: str | None = planned["id"] or planned["specId"]
    difference: SpecDifference = deployments.diff_deployment("n", "p", spec, show_secrets=True)
    changes: list[SpecChange] = difference["changes"] + applied["difference"]["changes"]
    refs: list[RevisedDeployment] = [
        deployments.scale_deployment("id", 2, wait=True, wait_timeout=60.0),
        deployments.stop_deployment("id"),
        deployments.start_deployment("id"),
        deployments.restart_deployment("id", wait=True),
        deployments.rollback_deployment("id", to="spec"),
        deployments.rollback_deployment("id", previous=True),
        deployments.patch_deployment("id", image="nginx", env={"A": "1"}, unset_env=["B"], replicas=2, wait=True),
        deployments.patch_deployment("id", instance_type="A100", command=["serve"], unset_env={"B"}),
    ]
    refs += [
        deployments.scale_deployment(name="n", project_id="p", replicas=2),
        deployments.rollback_deployment(name="n", to="spec"),
        deployments.rollback_deployment(name="n", project_id="p", previous=True),
        deployments.restart_deployment(name="n", project_id="p"),
        deployments.patch_deployment(name="n", project_id="p", image="nginx"),
    ]
    deleted: DeploymentRef = deployments.delete_deployment(name="n", project_id="p")
    status: DeploymentStatus = deployments.wait_for_deployment(refs[0]["id"], spec_id=refs[0]["specId"])
    revisions: list[DeploymentRevision] = deployments.get_deployment_history("id", 3, show_secrets=True)
    earlier: Generator[DeploymentRevision] = deployments.iter_deployment_history(name="n", first=3)
    revisions.append(next(earlier))
    cluster: Cluster | None = revisions[0]["cluster"]
    print(
        *(applied_id, planned_id, applied["action"], planned["action"], deleted, status, changes[0]["path"]),
        *(refs, cluster, revisions[0]["dtCreated"]),
    )


def apply_or_plan(dry_run: bool) -> str | None:
    """A dry run may have no id. Whether it is one, a variable may say."""
    return deployments.apply_deployment("n", "p", spec, dry_run=dry_run)["id"]


async def asynchronous_apply() -> str:
    """The async version has the same types."""
    planned: PlannedDeployment = await async_deployments.apply_deployment("n", "p", spec, dry_run=True)
    return (await async_deployments.apply_deployment("n", "p", spec))["id"] + planned["action"]


def round_trip(plain: dict[str, Any], inferred: int) -> None:
    """Specs are typed dicts or plain ones."""
    current: DeploymentSpecInput = deployments.get_deployment_spec("id")
    current["image"] = "nginx"
    current["resources"] = {**(current.get("resources") or {}), "replicas": 3}
    deployments.update_deployment(id="id", spec=current)
    deployments.create_deployment("n", "p", plain)
    deployments.update_deployment("n", "p", plain)
    deployments.update_deployment(id="id", spec={**plain, "port": 80})
    deployments.apply_deployment("n", "p", plain)
    deployments.diff_deployment("n", "p", plain)
    unannotated = {"image": "nginx", "port": inferred, "resources": {"replicas": 1}}
    deployments.create_deployment("n", "p", unannotated)


def monitoring() -> None:
    """The functions that watch a deployment."""
    status: DeploymentStatus = deployments.get_deployment_status("id")
    named: DeploymentStatus = deployments.get_deployment_status(name="n", project_id="p")
    print(named, next(deployments.get_deployment_logs(name="n", tail=1)))
    statuses: list[DeploymentStatus] = deployments.list_deployment_statuses("n", "p", "c", first=None)
    print(statuses)
    done: DeploymentStatus = deployments.wait_for_deployment("id", timeout=60.0, on_event=print)
    events: Generator[WatchEvent] = deployments.watch_deployment("id", timeout=60.0)
    lines: Generator[LogLine] = deployments.get_deployment_logs("id", instance="i", tail=10, since=None, follow=True)
    happened: list[DeploymentEvent] = deployments.get_deployment_events("id", first=10)
    print([(event["reason"], event["severity"], event["count"], event["instanceName"]) for event in happened])
    points: list[DeploymentMetrics] = deployments.get_deployment_metrics("id", since=None, step=60)
    print([(point["time"], point["cpu"], point["memory"], point["requestDurationP95"]) for point in points])
    instances: list[InstanceStatus] = status["instances"]
    serving: ServingRevision | None = status["serving"]
    print(serving and serving["specId"], serving and serving["readyReplicas"])
    ref: DeploymentRef = deployments.create_deployment("n", "p", spec, wait=True)
    print(done["state"], next(events)["message"], next(lines)["message"], instances[0]["state"], ref)


async def clients() -> None:
    """The functions on clients."""
    with Client("key", "https://a.example/graphql", timeout=1.0) as client:
        patient: Client = client.with_options(timeout=60.0, max_retries=9)
        created: DeploymentRef = patient.deployments.create_deployment(name="n", project_id="p", spec=spec)
        streamed: Generator[Deployment] = client.deployments.iter_deployments()
        read(next(streamed))
    async with AsyncClient() as other:
        deployment: Deployment = await other.deployments.get_deployment(created["id"])
        read(deployment)


def custom_operations(client: Client) -> None:
    """Custom operations, and schemas."""
    data: dict[str, object] = client.execute("query Q { __typename }", {}, check=False, idempotent=True)
    ref: DeploymentRef = client.execute(Path("Q.graphql"), result=DeploymentRef)
    report: SchemaReport = diff("schema.graphql")
    texts: tuple[str, ...] = report.breaking + report.dangerous + report.safe + (report.descriptions or ())
    sdl: str = pull("https://a.example/graphql", api_key="key")
    broken: tuple[str, ...] = report.broken_functions["get_deployment"]
    print(data, ref, texts, sdl, broken)


TREE: dict[type[GradientError], type[GradientError]] = {
    ConfigurationError: GradientError,
    MissingAPIKeyError: ConfigurationError,
    InvalidArgumentError: GradientError,
    InvalidSpecError: InvalidArgumentError,
    ClientClosedError: GradientError,
    SchemaError: GradientError,
    DeploymentFailedError: GradientError,
    WaitTimeoutError: GradientError,
    APIError: GradientError,
    APIConnectionError: APIError,
    TLSError: APIConnectionError,
    APITimeoutError: APIError,
    OutcomeUnknownError: APIError,
    APIStatusError: APIError,
    EndpointNotFoundError: APIStatusError,
    RedirectError: APIStatusError,
    MalformedResponseError: APIError,
    ResponseTooLargeError: MalformedResponseError,
    PaginationError: MalformedResponseError,
    AuthenticationError: APIError,
    PermissionDeniedError: APIError,
    NotFoundError: APIError,
    ConflictError: APIError,
    BadRequestError: APIError,
    RateLimitError: APIError,
    ServerError: APIError,
    PartialResultError: APIError,
}


def errors(error: APIError, mistake: InvalidArgumentError) -> None:
    """The attributes of errors."""
    facts: tuple[str | None, int, float, int | None] = (error.operation, error.attempts, error.elapsed, error.status)
    more: tuple[str | None, str | None, float | None] = (error.code, error.request_id, error.retry_after)
    doubt: str = error.may_have_executed
    places: list[str] = [problem.field for problem in mistake.problems]
    print(facts, more, doubt, places)


def failures(failed: DeploymentFailedError, late: WaitTimeoutError) -> None:
    """The status of the errors of a wait: a deployment that failed has one."""
    why: str | None = failed.status["error"]
    last: DeploymentStatus | None = late.status
    print(why, last, failed.logs[0]["message"], failed.events[0]["reason"], late.events)


def mistakes(deployment: Deployment) -> None:
    """The mistakes that the checkers must report."""
    deployment["nmae"]  # type: ignore[typeddict-item]  # pyright: ignore[reportGeneralTypeIssues]
    deployment["deploymentSpecs"]["nodes"][0]["data"]["imgae"]  # type: ignore[typeddict-item]  # pyright: ignore[reportGeneralTypeIssues]
    wrong_type: DeploymentSpecInput = {"image": "nginx", "port": "80"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
    unknown_key: DeploymentSpecInput = {"imgae": "nginx"}  # type: ignore[typeddict-unknown-key]  # pyright: ignore[reportAssignmentType]
    wrong_value: Protocol = "grpc"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    planned_id: str = deployments.apply_deployment("n", "p", {}, dry_run=True)["id"]  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    deployments.create_deployment("n")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    deployments.rollback_deployment("id")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    deployments.update_deployment(name="n")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    deployments.list_deployments(first="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    print(wrong_type, unknown_key, wrong_value, planned_id)
