"""`gradient server instance-types`: define the CPUs, memory and GPUs of containers, in a file beside the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from paperspace.gradient._shared.server_files import INSTANCE_TYPES
from paperspace.gradient.cli._numbers import FiniteRange
from paperspace.gradient.cli._output import output_option, print_data, print_message
from paperspace.gradient.cli._server_database import database_option
from paperspace.gradient.cli._settings_files import (
    check_name,
    delete_entry,
    read_entries,
    settings_path,
    store_entry,
)
from paperspace.gradient.cli._tables import Column, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from paperspace.gradient.server.docker.instance_types import InstanceType


# The least with which Docker starts a container. Much smaller limits are rounded to 0, which is no limit.
_MIN_CPUS, _MIN_MEMORY = 0.01, 0.006


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
@database_option
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

    own = read_entries(read_own_types, settings_path(database, INSTANCE_TYPES))
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
@click.option("--cpus", type=FiniteRange(_MIN_CPUS), metavar="NUMBER", help="CPUs, such as 0.5. Default: all.")
@click.option("--memory", type=FiniteRange(_MIN_MEMORY), metavar="GIB", help="Memory in GiB. Default: all.")
@click.option("--gpus", type=click.IntRange(0), default=0, metavar="NUMBER", help="GPUs. Default: none.")
@click.option(
    "--device", "devices", multiple=True, metavar="ID", help="The id of a GPU, instead of --gpus. Can be repeated."
)
@database_option
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

    check_name(name)
    if gpus and devices:
        raise click.UsageError("Pass --gpus or --device, not both.")
    path = settings_path(database, INSTANCE_TYPES, create_folder=True)
    entry = InstanceType(cpus, memory, gpus, tuple(devices))
    store_entry(read_own_types, path, name, entry)
    print_message(f"Stored instance type {name} ({entry.describe()}) in {path}")


@instance_types.command("delete")
@click.argument("name")
@database_option
def delete_instance_type(name: str, database: str | None) -> None:
    """Delete a stored instance type.

    If there is a built-in instance type of the same name, the built-in one is used again.

    \b
    Example:
      gradient server instance-types delete small
    """
    from paperspace.gradient.server.docker.instance_types import read_own_types

    delete_entry(read_own_types, settings_path(database, INSTANCE_TYPES), name, "instance type", origin="stored ")
