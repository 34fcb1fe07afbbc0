"""`gradient server registries` and `gradient server instance-types`: settings of the engine, in files beside the database.

The server reads them when it starts a container. It need not run while they change.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from paperspace.gradient.cli._output import output_option, print_data, print_message
from paperspace.gradient.cli._secrets import read_secret
from paperspace.gradient.cli._server_database import database_path
from paperspace.gradient.cli._tables import Column, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from paperspace.gradient.server.docker.instance_types import InstanceType

REGISTRIES, INSTANCE_TYPES = "registries", "instance-types"


def _database_of_server(context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Return the option, or else that of `gradient server --database PATH registries`."""
    server = context.parent and context.parent.parent
    return server.params.get("database") if value is None and server else value


_database_option = click.option(
    "--database",
    metavar="PATH",
    callback=_database_of_server,
    help="The database of the server. Default: the one that `gradient server` uses.",
)


def settings_path(database: str | None, name: str) -> Path:
    """Return the path of a settings file of a database; None selects the default database."""
    from paperspace.gradient.server.defaults import beside
    from paperspace.gradient.server.storage.files import IN_MEMORY

    path = database_path(database)
    if path == IN_MEMORY:
        raise click.BadParameter("A database in memory has no settings.", param_hint="'--database'")
    return beside(Path(path), name)


def _read(read: Callable[[Path], dict[str, Any]], path: Path) -> dict[str, Any]:
    from paperspace.gradient.server.docker.settings_files import SettingsFileError

    try:
        return read(path)
    except SettingsFileError as error:
        raise click.ClickException(str(error)) from error


def _check_name(name: str) -> None:
    if not name.strip() or not name.isprintable():
        raise click.BadParameter("A name must have visible characters only, and at least one.", param_hint="'NAME'")


def _delete(entries: dict[str, Any], name: str, kind: str) -> None:
    if name not in entries:
        raise click.ClickException(f"There is no {kind} {name}. Stored: {', '.join(entries) or 'none'}.")
    del entries[name]


# Registries


@click.group(REGISTRIES)
def registries() -> None:
    """Store the credentials of private registries.

    `containerRegistry` of a spec is the name of a stored registry, whose credentials are used to pull the image. Only
    a server that runs containers with Docker uses them; the simulation pulls no images.

    The credentials are stored in a file next to the database, which only its owner can read.

    \b
    Example:
      gradient server registries list
    """


@registries.command("list")
@_database_option
@output_option("json", "yaml")
def list_registries(database: str | None, output: str | None) -> None:
    """List the registries, without their passwords.

    \b
    Example:
      gradient server registries list
    """
    from paperspace.gradient.server.docker.registries import read_registries

    entries = _read(read_registries, settings_path(database, REGISTRIES))
    if output:
        print_data(
            [{"name": name, "host": entry.host, "username": entry.username} for name, entry in entries.items()], output
        )
    else:
        columns: dict[Column, Callable[[tuple[str, Any]], str]] = {
            Column("Name"): lambda item: item[0],
            Column("Host"): lambda item: str(item[1].host),
            Column("User name"): lambda item: str(item[1].username),
        }
        print_table(columns, list(entries.items()))


@registries.command("set")
@click.argument("name")
@click.option("--url", required=True, metavar="URL", help="The registry, such as https://ghcr.io.")
@click.option("--username", required=True, metavar="USER", help="The user name.")
@_database_option
def set_registry(name: str, url: str, username: str, database: str | None) -> None:
    """Store a registry, or replace the one with this name.

    The password is read from a prompt or from standard input.

    \b
    Example:
      gradient server registries set mine --url https://ghcr.io --username ada < password.txt
    """
    from paperspace.gradient.server.docker.registries import (
        Registry,
        read_registries,
        registry_host,
    )
    from paperspace.gradient.server.docker.settings_files import write_settings

    _check_name(name)
    try:
        host = registry_host(url)
    except ValueError as error:
        raise click.BadParameter("The URL has no host.", param_hint="'--url'") from error
    path = settings_path(database, REGISTRIES)
    entries = _read(read_registries, path)
    text, source = read_secret("Password")
    password = text.rstrip("\r\n")
    if not password:
        raise click.UsageError(f"No password: {source} is empty.")
    write_settings(path, {**entries, name: Registry(host, username, password)})
    print_message(f"Stored registry {name} ({host}) in {path}")


@registries.command("delete")
@click.argument("name")
@_database_option
def delete_registry(name: str, database: str | None) -> None:
    """Delete a registry.

    \b
    Example:
      gradient server registries delete mine
    """
    from paperspace.gradient.server.docker.registries import read_registries
    from paperspace.gradient.server.docker.settings_files import write_settings

    path = settings_path(database, REGISTRIES)
    entries = _read(read_registries, path)
    _delete(entries, name, "registry")
    write_settings(path, entries)
    print_message(f"Deleted registry {name} from {path}")


# Instance types


class _TypeRow(NamedTuple):
    name: str
    type: InstanceType
    source: str


@click.group(INSTANCE_TYPES)
def instance_types() -> None:
    """Define instance types: the CPUs, memory and GPUs of a container.

    `resources.instanceType` of a spec is the name of an instance type. Only a server that runs containers with
    Docker uses the definition; the simulation accepts any name. The instance types of the hosted service are built in.
    Others are stored in a file next to the database.

    \b
    Example:
      gradient server instance-types list
    """


@instance_types.command("list")
@_database_option
@output_option("json", "yaml")
def list_instance_types(database: str | None, output: str | None) -> None:
    """List all instance types.

    If the machine has less than an instance type asks for, containers get what the machine has. With `gradient server
    --strict-instance-types`, a spec with such an instance type is not applied.

    \b
    Example:
      gradient server instance-types list
    """
    from paperspace.gradient.server.docker.instance_types import HOSTED, read_own_types

    own = _read(read_own_types, settings_path(database, INSTANCE_TYPES))
    rows = [_TypeRow(name, entry, "built in") for name, entry in HOSTED.items() if name not in own]
    rows += [_TypeRow(name, entry, "file") for name, entry in own.items()]
    if output:
        print_data([{"name": row.name, **_plain(row.type), "source": row.source} for row in rows], output)
    else:
        print_table(_TYPE_COLUMNS, rows)


def _plain(entry: InstanceType) -> dict[str, Any]:
    return {**entry._asdict(), "devices": list(entry.devices)}


_TYPE_COLUMNS: dict[Column, Callable[[_TypeRow], str]] = {
    Column("Name"): lambda row: row.name,
    Column("CPUs", right=True): lambda row: "all" if row.type.cpus is None else f"{row.type.cpus:g}",
    Column("GiB", right=True): lambda row: "all" if row.type.memory is None else f"{row.type.memory:g}",
    Column("GPUs"): lambda row: ", ".join(row.type.devices) or str(row.type.gpus),
    Column("Source", rank=1): lambda row: row.source,
}


@instance_types.command("set")
@click.argument("name")
@click.option(
    "--cpus", type=click.FloatRange(0, min_open=True), metavar="NUMBER", help="CPUs, such as 0.5. Default: all."
)
@click.option("--memory", type=click.FloatRange(0, min_open=True), metavar="GIB", help="Memory in GiB. Default: all.")
@click.option("--gpus", type=click.IntRange(0), default=0, metavar="NUMBER", help="GPUs. Default: none.")
@click.option(
    "--device", "devices", multiple=True, metavar="ID", help="The id of a GPU, instead of --gpus. Can be repeated."
)
@_database_option
def set_instance_type(
    name: str, cpus: float | None, memory: float | None, gpus: int, devices: Iterable[str], database: str | None
) -> None:
    """Store an instance type, or replace the one with this name.

    Running containers keep their limits.

    \b
    Examples:
      gradient server instance-types set small --cpus 0.5 --memory 1
      gradient server instance-types set gpu0 --device 0
    """
    from paperspace.gradient.server.docker.instance_types import InstanceType, read_own_types
    from paperspace.gradient.server.docker.settings_files import write_settings

    _check_name(name)
    if gpus and devices:
        raise click.UsageError("Pass --gpus or --device, not both.")
    path = settings_path(database, INSTANCE_TYPES)
    entry = InstanceType(cpus, memory, gpus, tuple(devices))
    write_settings(path, {**_read(read_own_types, path), name: entry})
    print_message(f"Stored instance type {name} ({entry.describe()}) in {path}")


@instance_types.command("delete")
@click.argument("name")
@_database_option
def delete_instance_type(name: str, database: str | None) -> None:
    """Delete a stored instance type.

    If there is a built-in instance type of the same name, the built-in one is used again.

    \b
    Example:
      gradient server instance-types delete small
    """
    from paperspace.gradient.server.docker.instance_types import read_own_types
    from paperspace.gradient.server.docker.settings_files import write_settings

    path = settings_path(database, INSTANCE_TYPES)
    entries = _read(read_own_types, path)
    _delete(entries, name, "stored instance type")
    write_settings(path, entries)
    print_message(f"Deleted instance type {name} from {path}")
