"""Options and arguments that several commands share, and the spec file that `--spec` names."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from paperspace.gradient.cli._completion import complete_id, complete_name
from paperspace.gradient.errors import InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient.types import DeploymentSpecInput

    Function = Callable[..., Any]

MISSING_ID = "Missing deployment id. `gradient deployments list` shows the ids."

image_option = click.option("--image", metavar="IMAGE", help="The image that replaces `:image` in the spec file.")

wait_option = click.option("--wait", is_flag=True, help="Wait until it is ready, as `gradient deployments wait` does.")

show_secrets_option = click.option(
    "--show-secrets",
    is_flag=True,
    help="Show the values of environment variables. Passwords and credentials in URLs stay hidden.",
)


def id_parameter(*, required: bool = True) -> Callable[[Function], Function]:
    """Add the deployment id, as an argument or as the option `--id`. The function gets it as `id`."""

    def add(function: Function) -> Function:
        @click.argument("argument", metavar="[ID]", required=False, shell_complete=complete_id)
        @click.option("--id", metavar="ID", shell_complete=complete_id, help="The id of the deployment.")
        @wraps(function)
        def with_id(*, id: str | None, argument: str | None, **others: Any) -> Any:
            if id is not None and argument is not None:
                raise click.UsageError(f"Got two deployment ids, {argument} and {id}.")
            value = argument if id is None else id
            if required and value is None:
                raise click.UsageError(MISSING_ID)
            return function(id=value, **others)

        return with_id

    return add


def name_option(*, required: bool = False, help: str) -> Callable[[Function], Function]:
    """Add the option `--name`."""
    return click.option("--name", metavar="NAME", required=required, shell_complete=complete_name, help=help)


def project_option(*, required: bool = False, help: str) -> Callable[[Function], Function]:
    """Add the option `--project-id`."""
    return click.option("--project-id", "--projectId", "project_id", metavar="ID", required=required, help=help)


def cluster_option(*, help: str) -> Callable[[Function], Function]:
    """Add the option `--cluster-id`."""
    return click.option("--cluster-id", "--clusterId", "cluster_id", metavar="ID", help=help)


def spec_option(*, required: bool) -> Callable[[Function], Function]:
    """Add the option `--spec`."""
    return click.option(
        "--spec",
        required=required,
        type=click.Path(exists=True, dir_okay=False, allow_dash=True),
        metavar="FILE",
        help="The spec file, in YAML, JSON or TOML; - reads YAML or JSON from standard input.",
    )


def read_spec(path: str | None, image: str | None = None) -> DeploymentSpecInput:
    """Read and validate a spec file; `-` is standard input, None the first of the default files that exists.

    Raises:
        InvalidSpecError: the file is not a valid spec; the message lists every problem with its line.
    """
    from paperspace.gradient._spec.files import parse_spec, read_file

    if path != "-":
        return read_file(path, image=image)
    name = "standard input"
    try:
        with click.open_file(path, encoding="utf-8") as file:
            text = file.read()
    except UnicodeDecodeError:
        raise InvalidSpecError(f"cannot read {name}: not UTF-8") from None
    return parse_spec(text, name, ".json" if _is_json(text) else ".yaml", image=image)


def _is_json(text: str) -> bool:
    """Return whether a text is JSON. Nearly all JSON is YAML, but not JSON that is indented with tabs."""
    import json

    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
