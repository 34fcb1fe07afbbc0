"""The deployment that a command is about: an id or a name."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from paperspace.gradient._shared.ids import is_uuid
from paperspace.gradient.cli._completion import complete_id, complete_id_or_name
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli._output import printable
from paperspace.gradient.cli.deployments._options import MISSING_ID, project_option

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from paperspace.gradient.client import Client

    Function = Callable[..., Any]


class EmptyProjectError(click.ClickException):
    """A project has no deployments."""

    exit_code = ExitCode.NOT_FOUND


class Target(NamedTuple):
    """The id or the name of a deployment, as given on the command line.

    Attributes:
        id: The id, in lower case. None: the name is given.
        name: The name. None: the id is given.
    """

    id: str | None
    name: str | None

    def find(self, client: Client, project_id: str | None) -> str:
        """Return the id of the deployment. A name is looked up in the project, or in all.

        Raises:
            click.UsageError: Several deployments have the name. The message lists them. Or the id is given, and a project too.
            NotFoundError: No deployment has the name.
        """
        if self.id is not None:
            if project_id is not None:  # nobody would check that the deployment is in this project
                raise click.UsageError(f"Pass --project-id only with a name. {self.id} is an id.")
            return self.id
        found = client.deployments._find_deployments(self.name or "", project_id)  # noqa: SLF001  # inside the package
        if len(found) > 1:
            from paperspace.gradient.deployments._queries import lines_of

            ways = "one of these ids" if project_id else "--project-id, or one of these ids"
            title = f"{len(found)} deployments are named {self.name}. Pass {ways}:"
            raise click.UsageError(printable("\n  ".join([title, *lines_of(found)])))
        return found[0]["id"]


def target_parameter(*, required: bool = True) -> Callable[[Function], Function]:
    """Add the deployment: its name or id as an argument, or its id as the option `--id`.

    The function gets it as `target`: None if it is neither required nor given.
    """

    def add(function: Function) -> Function:
        @click.argument("argument", metavar="[NAME|ID]", required=False, shell_complete=complete_id_or_name)
        @click.option("--id", metavar="ID", shell_complete=complete_id, help="The id of the deployment.")
        @wraps(function)
        def with_target(*, id: str | None, argument: str | None, **others: Any) -> Any:
            if id is not None and argument is not None:
                raise click.UsageError(f"Got two deployments, {argument} and {id}. Pass one.")
            target = None if argument is None else _parse(argument)
            if id is not None:
                target = _by_id(id)
            if required and target is None:
                raise click.UsageError(MISSING_ID)
            return function(target=target, **others)

        return with_target

    return add


def targets_parameter(*, or_project: bool) -> Callable[[Function], Function]:
    """Add deployments, each like `target_parameter`, and the project in which names are looked up.

    The function gets them as `targets`, each once, and `project_id`. With `or_project`, there may be only a project, which
    stands for all its deployments. Otherwise, there is a target.
    """

    def add(function: Function) -> Function:
        @click.argument("arguments", metavar="[NAME|ID]...", nargs=-1, shell_complete=complete_id_or_name)
        @click.option(
            "--id", "ids", metavar="ID", multiple=True, shell_complete=complete_id, help="The id of a deployment."
        )
        @(_project_option if or_project else lookup_project_option)
        @wraps(function)
        def with_targets(
            *, arguments: tuple[str, ...], ids: tuple[str, ...], project_id: str | None, **others: Any
        ) -> Any:
            targets = list(dict.fromkeys([*map(_parse, arguments), *map(_by_id, ids)]))
            if not targets and not or_project:
                raise click.UsageError(MISSING_ID)
            if not targets and project_id is None:
                raise click.UsageError(f"{MISSING_ID} Or pass --project-id, for all deployments of a project.")
            return function(targets=targets, project_id=project_id, **others)

        return with_targets

    return add


def find_all(client: Client, targets: Sequence[Target], project_id: str | None) -> dict[str, str]:
    """Return the names of deployments by their ids; without targets, of all deployments of a project.

    Raises:
        click.UsageError: Several deployments have one of the names. The message lists them.
        NotFoundError: A deployment does not exist.
        EmptyProjectError: The project has no deployments. Its id may be misspelled.
    """
    if not targets:
        statuses = client.deployments.list_deployment_statuses(project_id=project_id, first=None)
        if not statuses:
            raise EmptyProjectError(f"There are no deployments in project {project_id}.")
        return {status["id"]: status["name"] for status in statuses}
    found = [(target.find(client, project_id), target.name) for target in targets]
    return {id_: name or client.deployments.get_deployment_status(id_)["name"] for id_, name in found}


def _parse(argument: str) -> Target:
    """Return what an argument names. An empty one, from a shell variable that is not set, is an error as an id."""
    is_id = not argument or is_uuid(argument)
    return _by_id(argument) if is_id else Target(None, argument)


def _by_id(id: str) -> Target:
    """Return the target with an id, as the API has it, so that the same deployment is found once."""
    return Target(id.lower() if is_uuid(id) else id, None)


lookup_project_option = project_option(
    help="The project of the deployment, if you pass its name. Default: all projects."
)

_project_option = project_option(
    help="With a name: the project of the deployment; default: all projects. Without a name or an id: all deployments of this "
    "project.",
)
