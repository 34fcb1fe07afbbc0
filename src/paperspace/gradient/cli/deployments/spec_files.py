"""The commands that bring deployments to the state of spec files: apply, diff and validate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.cli._commands import common_options, connect
from paperspace.gradient.cli._errors import code_of, print_error
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli._output import output_option, print_data, print_message, printable
from paperspace.gradient.cli._progress import wait_with_progress
from paperspace.gradient.cli.deployments import _prune
from paperspace.gradient.cli.deployments._group import command
from paperspace.gradient.cli.deployments._options import (
    Overrides,
    cluster_option,
    name_and_project,
    name_option,
    override_options,
    project_option,
    read_spec,
    show_secrets_option,
    spec_option,
    wait_option,
)
from paperspace.gradient.errors import APIConnectionError, AuthenticationError, GradientError, InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperspace.gradient._spec import files
    from paperspace.gradient._spec.files import SpecFile
    from paperspace.gradient.client import Client
    from paperspace.gradient.types import AppliedDeployment
else:
    [files] = lazy_modules("paperspace.gradient._spec", "files")

# Errors that every further call would have too.
_FATAL = (APIConnectionError, AuthenticationError)


class _Target(NamedTuple):
    """A deployment to apply."""

    file: SpecFile
    name: str
    project_id: str


@command.command()
@click.argument("arguments", metavar="[FILE]...", nargs=-1, type=click.Path(exists=True, allow_dash=True))
@name_option(help="The name of the deployment. Default: `name` in the spec file.")
@project_option(help="The project of the deployments. Default: `projectId` in the spec file.")
@spec_option(has_default=True, multiple=True)
@override_options
@cluster_option(help="The cluster to deploy to. Default: its current cluster, or the server's default cluster.")
@click.option("--prune", is_flag=True, help="Delete the deployments of the project that no file describes.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation before --prune deletes.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@wait_option
@show_secrets_option
@output_option("json", "yaml", "id")
def apply(
    *,
    arguments: tuple[str, ...],
    name: str | None,
    project_id: str | None,
    spec: tuple[str, ...],
    overrides: Overrides,
    cluster_id: str | None,
    prune: bool,
    yes: bool,
    dry_run: bool,
    wait: bool,
    show_secrets: bool,
    output: str | None,
) -> int:
    """Create deployments, or update those whose specs differ.

    The changes are printed to standard error, without the values of environment variables.

    Several spec files, or the files in a folder, are applied one after the other; each sets its own `name`. All files
    are validated before anything is sent. If a deployment cannot be applied, the others are, and the exit code is that
    of the first error.

    --prune shows the deployments of the project that no file describes, asks, and deletes them after the others are
    applied without an error. Without a terminal, it requires --yes.

    \b
    Examples:
      gradient deployments apply
      gradient deployments apply --name mnist --project-id p1 --spec mnist.yaml --wait
      gradient deployments apply --project-id p1 --spec deployments/ --prune --dry-run
    """
    if dry_run and wait:
        raise click.UsageError("--dry-run and --wait cannot be used together.")
    if prune and not (yes or dry_run or (sys.stdin.isatty() and sys.stderr.isatty())):
        raise click.UsageError("Pass --yes to delete deployments without a terminal, or --dry-run to see which.")
    paths, several = _list_files([*spec, *arguments])
    if several and name is not None:
        raise click.UsageError("--name needs a single spec file; of several, each sets its own `name`.")
    if several and overrides.image is not None:
        raise click.UsageError("--image needs a single spec file.")
    targets = _read_targets(paths, name, project_id, overrides)
    projects = {target.project_id for target in targets}
    if prune and len(projects) > 1:
        raise click.UsageError(f"--prune works in one project, but the files have {len(projects)}.")
    with targets[0].file.located_errors(), connect() as client:
        superfluous = _prune.find(client, projects.pop(), [target.name for target in targets]) if prune else {}
        if superfluous and not _prune.confirm(superfluous, yes=yes or dry_run):
            raise click.exceptions.Exit(ExitCode.FAILED)
        applier = _Applier(
            client, cluster_id, output, dry_run=dry_run, show_secrets=show_secrets, as_list=several or prune
        )
        try:
            applier.apply(targets)
            if wait:
                applier.wait()
            applier.prune(superfluous)
        finally:
            applier.print_list()
    return applier.code


def _list_files(paths: Sequence[str]) -> tuple[list[str | None], bool]:
    """Return the spec files at the paths, and whether they are several: more than one path, or a folder."""
    found: list[str | None] = []
    for path in paths:
        is_folder = path != "-" and Path(path).is_dir()
        found += map(str, files.files_in(Path(path))) if is_folder else [path]
    several = len(paths) > 1 or (len(paths) == 1 and found != list(paths))
    return found or [None], several


def _read_targets(
    paths: list[str | None], name: str | None, project_id: str | None, overrides: Overrides
) -> list[_Target]:
    """Read all files before anything is sent. The spec of a single file is validated by the function that sends it."""
    targets: list[_Target] = []
    invalid: list[InvalidSpecError] = []
    names: dict[tuple[str, str], str] = {}
    for path in paths:
        try:
            file = read_spec(path, overrides)
            if len(paths) > 1:
                file.validate()
        except InvalidSpecError as error:
            invalid.append(error)
            continue
        target = _Target(file, *name_and_project(file, name, project_id))
        other = names.setdefault(target[1:], file.path)
        if other != file.path:
            raise click.UsageError(f"{other} and {file.path} have the same name, {target.name}.")
        targets.append(target)
    if invalid:
        problems = [problem for error in invalid for problem in error.problems]
        raise InvalidSpecError("\n".join(str(error.args[0]) for error in invalid), problems=problems)
    return targets


class _Applier:
    """Applies deployments one after the other, and prints what it does.

    Attributes:
        code: The exit code of the first error.
    """

    def __init__(
        self,
        client: Client,
        cluster_id: str | None,
        output: str | None,
        *,
        dry_run: bool,
        show_secrets: bool,
        as_list: bool,
    ) -> None:
        self.code: int = ExitCode.SUCCESS
        self._client = client
        self._cluster_id = cluster_id
        self._output = output
        self._dry_run = dry_run
        self._show_secrets = show_secrets
        self._as_list = as_list
        self._applied: list[tuple[str, AppliedDeployment]] = []
        self._deleted: list[dict[str, object]] = []

    def apply(self, targets: list[_Target]) -> None:
        """Apply all targets. The error of one is reported, and the others are applied."""
        deployments = self._client.deployments
        for index, target in enumerate(targets):
            try:
                applied = deployments.apply_deployment(
                    target.name,
                    target.project_id,
                    target.file.spec,
                    self._cluster_id,
                    dry_run=self._dry_run,
                    show_secrets=self._show_secrets,
                )
            except GradientError as error:
                if len(targets) == 1:
                    raise
                self._report(target.name, error)
                if isinstance(error, _FATAL):
                    for skipped in targets[index + 1 :]:
                        print_message(f"Not applied: {skipped.name}")
                    return
                continue
            self._applied.append((target.name, applied))
            self._print(target.name, applied)

    def wait(self) -> None:
        """Wait until each deployment is ready. The error of one is reported, and the others are waited for."""
        for name, applied in self._applied:
            try:
                wait_with_progress(self._client, str(applied["id"]))
            except GradientError as error:
                if len(self._applied) == 1 and not self.code:
                    raise
                self._report(name, error)

    def prune(self, superfluous: dict[str, str]) -> None:
        """Delete these deployments, by id and name, unless there was an error."""
        if superfluous and self.code:
            print_message("Nothing was deleted, as there were errors.")
            return
        applied_ids = {str(applied["id"]).lower() for _, applied in self._applied}
        for id_, name in superfluous.items():
            if id_.lower() in applied_ids:
                continue
            try:
                if not self._dry_run:
                    _prune.delete(self._client, id_)
            except GradientError as error:
                self._report(name, error)
                continue
            self._deleted.append({"name": name, "id": id_, "action": "deleted"})
            if self._output is None:
                self._print_line("deleted", id_, name)

    def print_list(self) -> None:
        """Print everything that was done as one list, if the output is data for several deployments."""
        if self._as_list and self._output in {"json", "yaml"}:
            print_data([*({"name": name, **applied} for name, applied in self._applied), *self._deleted], self._output)

    def _print(self, name: str, applied: AppliedDeployment) -> None:
        match self._output:
            case "json" | "yaml":
                if not self._as_list:
                    print_data(applied, self._output)
            case "id":
                if applied["id"]:
                    click.echo(applied["id"])
            case _:
                if self._as_list:
                    print_message(f"{name}:")
                if applied["difference"]["text"]:
                    print_message(applied["difference"]["text"])
                self._print_line(applied["action"], applied["id"], name)

    def _print_line(self, action: str, id_: str | None, name: str) -> None:
        result = f"{action.capitalize()} deployment: {id_ or name}"
        if self._as_list and id_:
            result += f" ({printable(name)})"
        click.echo(f"Dry run: {result}" if self._dry_run else result)

    def _report(self, name: str, error: GradientError) -> None:
        print_message(f"{name}:")
        print_error(error, debug=common_options().debug)
        self.code = self.code or code_of(error)


@command.command()
@name_option(help="The name of the deployment. Default: `name` in the spec file.")
@project_option(help="The project of the deployment. Default: `projectId` in the spec file.")
@spec_option(has_default=True)
@override_options
@cluster_option(help="The cluster to compare with. Default: its current cluster.")
@click.option("--exit-code", is_flag=True, help="Exit with code 8 if there are changes.")
@show_secrets_option
@output_option("json", "yaml")
def diff(
    *,
    name: str | None,
    project_id: str | None,
    spec: str | None,
    overrides: Overrides,
    cluster_id: str | None,
    exit_code: bool,
    show_secrets: bool,
    output: str | None,
) -> int:
    """Show what `apply` would change, without changing it.

    The values of environment variables are compared, but shown only with --show-secrets.

    \b
    Examples:
      gradient deployments diff --name mnist --project-id p1 --spec paperspace.yaml --exit-code
      gradient deployments diff --name mnist --project-id p1 --spec paperspace.yaml --show-secrets
    """
    file = read_spec(spec, overrides)
    name, project_id = name_and_project(file, name, project_id)
    with file.located_errors(), connect() as client:
        difference = client.deployments.diff_deployment(
            name, project_id, file.spec, cluster_id, show_secrets=show_secrets
        )
    if output:
        print_data(difference, output)
    elif difference["text"]:
        click.echo(printable(difference["text"]))
    return ExitCode.DIFFERENT if exit_code and difference["changes"] else ExitCode.SUCCESS


@command.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, allow_dash=True))
@override_options
def validate(file: str | None, overrides: Overrides) -> None:
    """Validate a spec file, without sending it.

    Every problem is printed with its line. The default FILE is the first that exists of paperspace.yaml, .yml, .json,
    .jsonc and .toml, then .paperspace/app.yaml and so on.

    \b
    Example:
      gradient deployments validate paperspace.yaml
    """
    read_spec(file, overrides).validate()
    click.echo("The spec is valid.")
