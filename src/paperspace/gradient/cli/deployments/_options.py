"""Options and arguments that several commands share, and the spec file that `--spec` names."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from paperspace.gradient._core.defaults import DEFAULT_WAIT
from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient.cli._completion import complete_name
from paperspace.gradient.cli._numbers import NumberRange
from paperspace.gradient.cli._output import data_text, print_change, print_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient._spec import files
    from paperspace.gradient._spec.files import SpecFile
    from paperspace.gradient.types import DeploymentRef

    Function = Callable[..., Any]
else:
    [files] = lazy_modules("paperspace.gradient._spec", "files")

MISSING_ID = "Missing deployment: pass its name or its id. `gradient deployments list` shows both."

# The line of the retired client for an id that does not exist. `get` and `delete` print it to standard output, as that did.
NOT_FOUND = "Deployment not found"


def wait_options(function: Function) -> Function:
    """Add the options `--wait` and `--timeout`. The function gets them as `wait`: the seconds to wait, or None."""

    @click.option("--wait", "waits", is_flag=True, help="Wait until the deployment is ready.")
    @click.option(
        "--timeout",
        type=NumberRange(0, min_open=True),
        metavar="SECONDS",
        help=f"With --wait: the seconds to wait. Default: {DEFAULT_WAIT:g}.",
    )
    @wraps(function)
    def with_wait(*, waits: bool, timeout: float | None, **others: Any) -> Any:
        if timeout is not None and not waits:
            raise click.UsageError("--timeout works only with --wait.")
        return function(wait=(timeout or DEFAULT_WAIT) if waits else None, **others)

    return with_wait


show_secrets_option = click.option(
    "--show-secrets",
    is_flag=True,
    help="Show the values of environment variables and headers, and the user names of repositories. Passwords and credentials in URLs "
    "stay hidden.",
)


class FilePath(click.Path):
    """The path of an existing file. Errors do not show text that is passed instead of a path, as it may be secret."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check that the file exists."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            if not files.is_no_path(value):
                raise
        hint = ", or pipe it to standard input and pass -" if self.allow_dash else ""
        raise click.BadParameter(f"{files.NO_PATH}. Write the text to a file{hint}.", ctx, param)


def name_option(*, required: bool = False, help: str) -> Callable[[Function], Function]:
    """Add the option `--name`."""
    return click.option("--name", metavar="NAME", required=required, shell_complete=complete_name, help=help)


def project_option(*, required: bool = False, help: str) -> Callable[[Function], Function]:
    """Add the option `--project-id`."""
    return click.option("--project-id", "--projectId", "project_id", metavar="ID", required=required, help=help)


def cluster_option(*, help: str) -> Callable[[Function], Function]:
    """Add the option `--cluster-id`."""
    return click.option("--cluster-id", "--clusterId", "cluster_id", metavar="ID", help=help)


def spec_option(
    *, required: bool = False, has_default: bool = False, multiple: bool = False
) -> Callable[[Function], Function]:
    """Add the option `--spec`."""
    which = "A spec file, or a folder with spec files. Can be repeated." if multiple else "The spec file."
    default = " Default: paperspace.yaml; see `gradient deployments validate --help`." if has_default else ""
    return click.option(
        "--spec",
        required=required,
        multiple=multiple,
        type=FilePath(exists=True, dir_okay=multiple, allow_dash=True),
        metavar="FILE",
        help=f"{which} Formats: YAML, JSON, TOML. With -, standard input is read as YAML or JSON.{default}",
    )


class Overrides(NamedTuple):
    """What options change in the spec of a file.

    Attributes:
        image: The image in place of the file's. None: no change.
        env_files: Files of environment variables that are added.
        env_subst: Whether `${NAME}` is substituted from the environment.
    """

    image: str | None = None
    env_files: tuple[str, ...] = ()
    env_subst: bool = False

    def read_env_files(self) -> dict[str, str]:
        """Return the variables of the files. Of two with the same name, the last one counts."""
        variables: dict[str, str] = {}
        for file in self.env_files:
            variables |= files.read_env_file(Path(file))
        return variables


def override_options(function: Function) -> Function:
    """Add the options that change the spec of a file. The function gets them as `overrides`."""

    @click.option("--image", metavar="IMAGE", help="The image to run, instead of the one in the spec.")
    @click.option(
        "--env-file",
        "env_files",
        multiple=True,
        type=FilePath(exists=True, dir_okay=False),
        metavar="FILE",
        help="Add environment variables from a file with NAME=VALUE lines, as `docker run --env-file` does.",
    )
    @click.option(
        "--env-subst", is_flag=True, help="Replace ${NAME} and ${NAME:-default} in the spec by environment variables."
    )
    @wraps(function)
    def with_overrides(*, image: str | None, env_files: tuple[str, ...], env_subst: bool, **others: Any) -> Any:
        return function(overrides=Overrides(image, env_files, env_subst), **others)

    return with_overrides


def read_spec(path: str | None, overrides: Overrides) -> SpecFile:
    """Read a spec file; `-` is standard input, None the first of the default files that exists.

    Raises:
        InvalidSpecError: the file cannot be read or converted. The spec in it is not validated.
    """
    env = overrides.read_env_files()
    image, env_subst = overrides.image, overrides.env_subst
    if path == "-":
        with click.open_file(path, "rb") as stdin:
            text = files.decode(files.read_bytes(stdin), "standard input")
        file = files.parse_file(text, "standard input", "", image=image, env_subst=env_subst, env=env)
    else:
        file = files.read_file(path, image=image, env_subst=env_subst, env=env)
    if file.replaced_image is not None:
        print_message(f"Note: --image replaces the image {file.replaced_image} of {file.path}")
    return file


def name_and_project(file: SpecFile, name: str | None, project_id: str | None) -> tuple[str, str]:
    """Return the name and the project of the deployment: the options, or what the file sets.

    Raises:
        click.UsageError: neither sets one of them.
    """
    name = file.name if name is None else name
    project_id = file.project_id if project_id is None else project_id
    if name is None:
        raise click.UsageError(f"Missing the name of the deployment: pass --name, or set `name` in {file.path}.")
    if project_id is None:
        raise click.UsageError(f"Missing the project id: pass --project-id, or set `projectId` in {file.path}.")
    return name, project_id


def print_result(action: str, deployment: DeploymentRef, output: str | None) -> None:
    """Print the deployment that a command changed."""
    match output:
        case "id":
            print_change(deployment["id"])
        case None:
            print_change(f"{action} deployment: {deployment['id']}")
        case _:
            print_change(data_text(deployment, output))
