"""The commands that change what a deployment runs, or show its changes: scale, stop, start, restart, history, rollback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from paperspace.gradient._shared.secrets import hide_in_spec
from paperspace.gradient.cli._client import connect
from paperspace.gradient.cli._output import output_option, print_data, printable
from paperspace.gradient.cli._progress import wait_with_progress, warn_if_failed
from paperspace.gradient.cli.deployments._group import command
from paperspace.gradient.cli.deployments._options import print_result, show_secrets_option, wait_options
from paperspace.gradient.cli.deployments._target import Target, lookup_project_option, target_parameter

if TYPE_CHECKING:
    from paperspace.gradient.client import Client
    from paperspace.gradient.types import DeploymentRevision, RevisedDeployment


@command.command()
@target_parameter()
@lookup_project_option
@click.option("--replicas", type=click.IntRange(0), required=True, metavar="N", help="The number of replicas to run.")
@wait_options
@output_option("json", "yaml", "id")
def scale(target: Target, project_id: str | None, replicas: int, wait: float | None, output: str | None) -> None:
    """Change the number of replicas of a deployment.

    \b
    Example:
      gradient deployments scale mnist --replicas 3
    """
    with connect() as client:
        scaled = client.deployments.scale_deployment(target.find(client, project_id), replicas)
        _print_and_wait(client, "Scaled", scaled, wait, output)


@command.command()
@target_parameter()
@lookup_project_option
@wait_options
@output_option("json", "yaml", "id")
def stop(target: Target, project_id: str | None, wait: float | None, output: str | None) -> None:
    """Stop all replicas of a deployment.

    In its spec, only `enabled` changes. `gradient deployments start` starts the replicas again.

    \b
    Example:
      gradient deployments stop mnist
    """
    with connect() as client:
        stopped = client.deployments.stop_deployment(target.find(client, project_id))
        _print_and_wait(client, "Stopped", stopped, wait, output)


@command.command()
@target_parameter()
@lookup_project_option
@wait_options
@output_option("json", "yaml", "id")
def start(target: Target, project_id: str | None, wait: float | None, output: str | None) -> None:
    """Start a stopped deployment.

    If it is not stopped, nothing is changed, also if it has failed: then use `gradient deployments restart`.

    \b
    Example:
      gradient deployments start mnist
    """
    with connect() as client:
        started = client.deployments.start_deployment(target.find(client, project_id))
        _print_and_wait(client, "Started", started, wait, output)


@command.command()
@target_parameter()
@lookup_project_option
@wait_options
@output_option("json", "yaml", "id")
def restart(target: Target, project_id: str | None, wait: float | None, output: str | None) -> None:
    """Start new replicas with the same spec, as a new revision.

    Use it when the image of the tag `latest` has changed. A deployment that is stopped stays stopped.

    \b
    Example:
      gradient deployments restart mnist --wait
    """
    with connect() as client:
        restarted = client.deployments.restart_deployment(target.find(client, project_id))
        _print_and_wait(client, "Restarted", restarted, wait, output)


@command.command()
@target_parameter()
@lookup_project_option
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Only the newest N revisions.")
@show_secrets_option
@output_option("json", "yaml", "id")
def history(
    target: Target, project_id: str | None, *, limit: int | None, show_secrets: bool, output: str | None
) -> None:
    """List the revisions of a deployment, newest first.

    For each revision, it prints the author, the time and the changes. -o json and -o yaml print what
    `get_deployment_history` of the library returns, with hidden secrets. `gradient deployments get` shows the secrets.

    \b
    Examples:
      gradient deployments history mnist --limit 10
      gradient deployments history mnist --show-secrets
    """
    with connect() as client:
        found = target.find(client, project_id)
        revisions = client.deployments.iter_deployment_history(found, limit, show_secrets=show_secrets)
        if output in {"json", "yaml"}:
            print_data([_without_secrets(revision, show_secrets) for revision in revisions], output or "json")
            return
        for revision in revisions:
            if output == "id":
                click.echo(revision["id"])
            else:
                _print_revision(revision)


def _print_revision(revision: DeploymentRevision) -> None:
    author = revision["actor"]["fullName"] or "unknown"
    click.echo(printable(f"{revision['id']}  {revision['dtCreated']}  {author}"))
    for line in revision["difference"]["text"].splitlines() or ["no changes"]:
        click.echo(printable(f"    {line}"))


def _without_secrets(revision: DeploymentRevision, show_secrets: bool) -> dict[str, object]:
    return {**revision, "data": hide_in_spec(revision["data"], show_secrets=show_secrets)}


@command.command()
@target_parameter()
@lookup_project_option
@click.option("--to", metavar="REVISION-ID", help="The id of the revision. `gradient deployments history` lists them.")
@click.option(
    "--previous",
    is_flag=True,
    help="Undo the last change: deploy the most recent revision that differs from the current one.",
)
@wait_options
@output_option("json", "yaml", "id")
def rollback(
    target: Target, project_id: str | None, to: str | None, previous: bool, wait: float | None, output: str | None
) -> None:
    """Deploy an earlier revision again, as a new revision.

    Pass either --to or --previous. To return to a revision that still serves after failed updates, pass its id to --to. `gradient
    deployments status` shows this id.

    \b
    Examples:
      gradient deployments rollback mnist --previous
      gradient deployments rollback mnist --to 8f5c4a9c-4bd7-b143-b125-8f5c386df8a9
    """
    if (to is None) is not previous:
        raise click.UsageError("Pass either --to or --previous.")
    with connect() as client:
        found = target.find(client, project_id)
        if to is None:
            restored = client.deployments.rollback_deployment(found, previous=True)
        else:
            restored = client.deployments.rollback_deployment(found, to)
        _print_and_wait(client, "Rolled back", restored, wait, output)


def _print_and_wait(
    client: Client, action: str, revised: RevisedDeployment, wait: float | None, output: str | None
) -> None:
    """Print the deployment that a command changed, and wait for its new revision. None: do not wait."""
    print_result(action, revised, output)
    if wait:
        wait_with_progress(client, revised["id"], wait, revised["specId"])
    else:
        warn_if_failed(client, revised["id"])
