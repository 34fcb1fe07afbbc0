"""The commands that bring deployments to the state of spec files: apply, diff and validate."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.cli._client import connect
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli._output import output_option, print_data, printable
from paperspace.gradient.cli.deployments import _prune
from paperspace.gradient.cli.deployments._applier import Applier, NamedSpec
from paperspace.gradient.cli.deployments._group import command
from paperspace.gradient.cli.deployments._options import (
    FilePath,
    Overrides,
    cluster_option,
    name_and_project,
    name_option,
    override_options,
    project_option,
    read_spec,
    show_secrets_option,
    spec_option,
    wait_options,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperspace.gradient._spec import folders
    from paperspace.gradient._spec.files import SpecFile
else:
    [folders] = lazy_modules("paperspace.gradient._spec", "folders")


@command.command()
@click.argument("arguments", metavar="[FILE]...", nargs=-1, type=FilePath(exists=True, allow_dash=True))
@name_option(help="The name of the deployment. Default: `name` in the spec file.")
@project_option(help="The project of the deployments. Default: `projectId` in the spec file.")
@spec_option(has_default=True, multiple=True)
@override_options
@cluster_option(
    help="The cluster to deploy to. Default: the current cluster of the deployment; for a new deployment, the server's "
    "default cluster."
)
@click.option("--prune", is_flag=True, help="Also delete the deployments of the project that no file describes.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation before --prune deletes.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@wait_options
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
    wait: float | None,
    show_secrets: bool,
    output: str | None,
) -> int:
    """Create or update deployments, so that they match their spec files.

    The changes are printed to standard error, without the values of environment variables. If the newest revision has the same
    spec, nothing is changed, also if it has failed: then use `gradient deployments restart`.

    If you pass several files or a folder, set `name` in each file. All files are validated before anything is sent. Then
    they are applied one after the other. If a file fails, the command continues with the next file; the exit code is that
    of the first error. If the server cannot be reached or rejects the API key, the command skips the other files.

    --prune also deletes the deployments of the project that no file describes. First, the command lists these deployments
    and asks for confirmation. If a file could not be applied, it deletes nothing. Without a terminal, --prune needs --yes.

    \b
    Examples:
      gradient deployments apply
      gradient deployments apply --name mnist --project-id p1 --spec mnist.yaml --wait
      gradient deployments apply --project-id p1 --spec deployments/ --prune --dry-run
    """
    if dry_run and wait:
        raise click.UsageError("--dry-run and --wait cannot be used together.")
    if prune and not (yes or dry_run or (sys.stdin.isatty() and sys.stderr.isatty())):
        raise click.UsageError("Without a terminal, --prune needs --yes. To see what it would delete, pass --dry-run.")
    paths, several = _list_files([*spec, *arguments])
    if several and name is not None:
        raise click.UsageError("--name works with one spec file only. With several files, set `name` in each file.")
    if several and overrides.image is not None:
        raise click.UsageError("--image works with one spec file only.")
    specs = _read_specs(paths, name, project_id, overrides)
    projects = {named.project_id for named in specs}
    if prune and len(projects) > 1:
        raise click.UsageError(f"--prune works in one project only, but the files name {len(projects)} projects.")
    with specs[0].file.located_errors(), connect() as client:
        superfluous = _prune.find(client, projects.pop(), [named.name for named in specs]) if prune else {}
        if superfluous and not _prune.confirm(superfluous, yes=yes or dry_run):
            raise click.exceptions.Exit(ExitCode.FAILED)
        applier = Applier(
            client, cluster_id, output, dry_run=dry_run, show_secrets=show_secrets, as_list=several or prune
        )
        try:
            applier.apply(specs)
            if wait:
                applier.wait(wait)
            elif not dry_run:
                applier.warn()
            applier.prune(superfluous)
        finally:
            applier.print_list()
    return applier.code


def _list_files(paths: Sequence[str]) -> tuple[list[str | None], bool]:
    """Return the spec files at the paths, and whether they are several: more than one path, or a folder."""
    found: list[str] = []
    for path in paths:
        is_folder = path != "-" and Path(path).is_dir()
        found += map(str, folders.files_in(Path(path))) if is_folder else [path]
    # As a Path, which has no `./` in front.
    if repeated := next((path for path, count in Counter(map(Path, found)).items() if count > 1), None):
        raise click.UsageError(f"{repeated} is passed twice.")
    several = len(paths) > 1 or (len(paths) == 1 and found != list(paths))
    return [*found] or [None], several


def _read_specs(
    paths: list[str | None], name: str | None, project_id: str | None, overrides: Overrides
) -> list[NamedSpec]:
    """Read all files before anything is sent. The spec of a single file is validated by the function that sends it."""

    def read(path: str | None) -> SpecFile:
        file = read_spec(path, overrides)
        if len(paths) > 1:
            file.validate()
        return file

    files = folders.read_each(paths, read)
    specs = [NamedSpec(file, *name_and_project(file, name, project_id)) for file in files]
    folders.refuse_duplicates((named.file.path, named.name, named.project_id) for named in specs)
    return specs


@command.command()
@name_option(help="The name of the deployment. Default: `name` in the spec file.")
@project_option(help="The project of the deployment. Default: `projectId` in the spec file.")
@spec_option(has_default=True)
@override_options
@cluster_option(help="The cluster to compare with. Default: the current cluster of the deployment.")
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

    The values of environment variables are compared too. They are shown only with --show-secrets.

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

    Every problem is printed with its line. Without FILE, the command looks for paperspace.yaml, then for paperspace.yml,
    .json, .jsonc and .toml, and then for .paperspace/app.yaml, .yml, .json, .jsonc and .toml. It reads the first file that
    exists.

    \b
    Example:
      gradient deployments validate paperspace.yaml
    """
    read_spec(file, overrides).validate()
    click.echo("The spec is valid.")
