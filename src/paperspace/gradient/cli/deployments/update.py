"""The command update."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import click

from paperspace.gradient.cli._client import connect
from paperspace.gradient.cli._output import output_option
from paperspace.gradient.cli._progress import wait_with_progress, warn_if_failed
from paperspace.gradient.cli.deployments._group import command
from paperspace.gradient.cli.deployments._options import (
    Overrides,
    cluster_option,
    name_and_project,
    name_option,
    override_options,
    print_result,
    project_option,
    read_spec,
    spec_option,
    wait_options,
)
from paperspace.gradient.cli.deployments._patch_options import patch_options
from paperspace.gradient.cli.deployments._target import Target, target_parameter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from paperspace.gradient._spec.files import SpecFile
    from paperspace.gradient._spec.patch import Patch
    from paperspace.gradient.client import Client
    from paperspace.gradient.types import DeploymentSpecInput


@command.command()
@target_parameter(required=False)
@name_option(
    help="If an argument or --id selects the deployment: its new name. Otherwise: the name of the deployment to update."
)
@project_option(
    help="If an id selects the deployment: the project to move it to. If a name selects it: its present project."
)
@spec_option()
@override_options
@patch_options
@cluster_option(help="The cluster to deploy to. Default: no change.")
@wait_options
@output_option("json", "yaml", "id")
def update(
    *,
    target: Target | None,
    name: str | None,
    project_id: str | None,
    spec: str | None,
    overrides: Overrides,
    patch: Patch,
    cluster_id: str | None,
    wait: float | None,
    output: str | None,
) -> None:
    """Update the spec, cluster, name or project of a deployment.

    Select the deployment with NAME or ID. Without them, pass --name and --project-id, or set `name` and `projectId` in
    the spec file.

    --spec replaces the whole spec. The options --image, --env, --env-file, --unset-env, --replicas, --instance-type and
    --command change single fields. With --spec, they change the spec in the file. Without --spec, they change the newest
    spec of the deployment.

    \b
    Examples:
      gradient deployments update mnist --image registry.example.com/mnist:1.5 --wait
      gradient deployments update mnist --env MODE=fast --unset-env DEBUG --replicas 2
      gradient deployments update --name mnist --project-id p1 --spec mnist.yaml
      gradient deployments update --id d4e74a9c-b125-4bd7-b143-8f5c386df8a9 --name digits
    """
    file = None if spec is None else read_spec(spec, overrides)
    if file is None:
        patch = patch._replace(**_overridden(overrides, patch.env))
    if target is None and file is not None:
        name, project_id = name_and_project(file, name, project_id)
    if target is None and name is not None and project_id is not None:
        target, name = Target(None, name), None
    by_name = target is not None and target.name is not None
    fields = {"name": name, "projectId": None if by_name else project_id, "clusterId": cluster_id}
    others = {field: value for field, value in fields.items() if value is not None}
    if target is None or (file is None and patch.is_empty() and not others):
        raise click.UsageError("Pass a deployment (NAME, ID, or --name with --project-id) and at least one change.")
    if by_name and project_id is None and file is not None:
        project_id = file.project_id
    content = None if file is None else _patched(file, patch)
    if by_name and file is not None:
        file.validate()  # before the name is looked up
    with nullcontext() if file is None else file.located_errors(), connect() as client:
        found = target.find(client, project_id if by_name else None)
        spec_id = _update(client, found, content, patch, others, with_spec_id=wait is not None)
        print_result("Updated", {"id": found}, output)
        if wait:
            wait_with_progress(client, found, wait, spec_id)
        else:
            warn_if_failed(client, found)


def _overridden(overrides: Overrides, env: Mapping[str, str] | None) -> dict[str, Any]:
    """Return the changes of a patch for the options that change the spec of a file, where there is no file."""
    if overrides.env_subst:
        raise click.UsageError("--env-subst works only with --spec.")
    return {"image": overrides.image, "env": {**overrides.read_env_files(), **(env or {})} or None}


def _patched(file: SpecFile, patch: Patch) -> DeploymentSpecInput:
    """Return the spec of a file with the changes."""
    from paperspace.gradient.deployments._arguments import require

    if not patch.is_empty():
        require(patch.problems())
        patch.change(cast("dict[str, Any]", file.validate()))
    return file.spec


def _update(
    client: Client,
    id: str,
    spec: DeploymentSpecInput | None,
    patch: Patch,
    others: dict[str, str],
    *,
    with_spec_id: bool,
) -> str | None:
    """Update a deployment, and return the id of its newest spec. None: it was not asked for."""
    if spec is None and not patch.is_empty():
        return client.deployments._patch(id, patch, others)["specId"]  # noqa: SLF001  # inside the package
    name, project_id, cluster_id = (others.get(field) for field in ("name", "projectId", "clusterId"))
    updated = client.deployments._update(  # noqa: SLF001  # inside the package
        name, project_id, spec, cluster_id, id, with_specs=with_spec_id
    )
    return updated.spec_id
