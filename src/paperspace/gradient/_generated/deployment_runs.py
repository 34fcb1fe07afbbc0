# Generated from graphql/operations/DeploymentRuns.graphql by scripts/regenerate; change that file and run it again.
"""The operation `DeploymentRuns`: its variables and the data of its response."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from paperspace.gradient._generated.enums import DeploymentRunInstanceState, InstancePhase
from paperspace.gradient._generated.page_info_fields import PageInfo
from paperspace.gradient._generated.scalars import UUID, DateTime
from paperspace.gradient._shared.operation import Operation


class DeploymentRunInstance(TypedDict):
    """One replica of a run."""

    id: UUID
    """The id."""

    instanceId: str | None
    """The name of the instance on the cluster, and of its log. Null: not scheduled yet."""

    phase: InstancePhase | str | None
    """The phase of the container. Null: not known yet."""

    state: DeploymentRunInstanceState | str | None
    """The state. Null: not known yet."""

    stateMessage: str | None
    """An explanation of the state. Null: no explanation."""

    dtStarted: DateTime | None
    """When the container started. Null: not started yet."""

    dtFinished: DateTime | None
    """When the container exited. Null: not exited."""


class DeploymentRunInstanceConnection(TypedDict):
    """A page of instances."""

    nodes: list[DeploymentRunInstance]
    """The items of this page."""


class DeploymentRun(TypedDict):
    """The instances of one spec."""

    id: UUID
    """The id."""

    dtCreated: DateTime
    """When it started."""

    dtDeleted: DateTime | None
    """When the last instance was removed. Null: the run has instances, or can still get some."""

    replicas: int | None
    """The number of instances, or how many autoscaling has decided on if that is more. Null: not known yet."""

    readyReplicas: int | None
    """The number of instances that are ready to serve. Null: not known yet."""

    availableReplicas: int | None
    """The number of instances that are available: ready for long enough. Null: not known yet."""

    deploymentRunInstances: DeploymentRunInstanceConnection | None
    """The instances, and the newest removed instances: at most 100."""


class DeploymentRunConnection(TypedDict):
    """A page of runs."""

    nodes: list[DeploymentRun]
    """The items of this page."""


class DeploymentRollout(TypedDict):
    """The application of one spec of a deployment."""

    id: UUID
    """The id."""

    dtCreated: DateTime
    """When it started."""

    deploymentRuns: DeploymentRunConnection | None
    """The runs, newest first. Empty if there was nothing to run."""


class DeploymentRolloutConnection(TypedDict):
    """A page of rollouts."""

    nodes: list[DeploymentRollout]
    """The items of this page."""

    pageInfo: PageInfo
    """The position of this page in the list."""


class Deployment(TypedDict):
    """A deployment: containers that host a model and serve inferences, behind one endpoint."""

    id: UUID
    """The id."""

    deploymentRollouts: DeploymentRolloutConnection
    """The rollouts, newest first: one for each spec that was applied."""


class DeploymentRunsResult(TypedDict):
    """The data of the response to `DeploymentRuns`."""

    deployment: Deployment | None
    """A deployment by id. Null: no deployment has this id, or it is deleted."""


class DeploymentRunsVariables(TypedDict):
    """The variables of `DeploymentRuns`."""

    id: UUID
    first: NotRequired[int | None]
    after: NotRequired[str | None]


DEPLOYMENT_RUNS = Operation("DeploymentRuns", DeploymentRunsVariables, DeploymentRunsResult)
