"""`gradient server down`, `prune`, `backup` and `gateway`: commands about a database, whether its server runs or not."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paperspace.gradient._shared.counting import count
from paperspace.gradient.cli._output import print_message
from paperspace.gradient.cli._server_database import database_file, database_option
from paperspace.gradient.cli._server_engine import engine_of, left_behind
from paperspace.gradient.cli._server_gateway import envoy_option
from paperspace.gradient.cli._tables import Column, print_table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from paperspace.gradient.server.control.interface import Control


@asynccontextmanager
async def control_of(path: Path) -> AsyncIterator[Control]:
    """Control a database: through its server, or without one."""
    from paperspace.gradient.server.control.client import listens, remote_control
    from paperspace.gradient.server.control.interface import ControlError
    from paperspace.gradient.server.control.listener import control_path
    from paperspace.gradient.server.control.offline import OfflineControl

    try:
        if listens(control_path(path)):
            async with remote_control(control_path(path)) as remote:
                yield remote
        else:
            yield OfflineControl(path, engine_of(path))
    except ControlError as error:
        raise click.ClickException(str(error)) from error


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise click.ClickException(f"There is no database {path}. Pass the path of another one with --database.")
    return path


@click.command("down")
@click.option("--now", is_flag=True, help="Do not wait for active requests: interrupt them.")
@database_option
def down(database: str | None, *, now: bool) -> None:
    """Stop the server, all deployments and the gateway.

    The command waits until active requests have ended, but not longer than the --drain-timeout of the server, or 300
    seconds if no server runs. New requests get status 503. The database is kept: the next start of the server starts
    all deployments again.

    Containers that the database does not know are kept; see `gradient server prune`.

    \b
    Example:
      gradient server down
    """
    path = _existing(database_file(database))
    result = asyncio.run(_take_down(path, now=now))
    if number := result["deployments"]:
        print_message(f"Stopped {count(number, 'deployment')}. The next start of the server starts what was stopped.")
    elif left := asyncio.run(left_behind(path)):
        print_message(f"The server is stopped. {left}")
    else:
        print_message("Everything is stopped. There were no containers.")
    if unknown := result["unknown"]:
        print_message(
            f"Kept {count(unknown, 'container')} that the database does not know. `gradient server prune` removes them."
        )


async def _take_down(path: Path, *, now: bool) -> dict[str, Any]:
    async with control_of(path) as control:
        return await control.take_down(now=now, report=print_message)


@click.command("prune")
@click.option("--yes", "-y", is_flag=True, help="Remove them without a question.")
@database_option
def prune(database: str | None, *, yes: bool) -> None:
    """Remove containers of this server that its database does not know.

    There are such containers after an older backup of the database was restored. The server keeps them, because they may
    be needed. Containers of others are never removed.

    \b
    Example:
      gradient server prune
    """
    path = _existing(database_file(database))
    if left := asyncio.run(left_behind(path)):
        raise click.ClickException(left)
    containers = asyncio.run(_unknown(path))
    if not containers:
        print_message("Nothing to remove: the database knows all containers of this server.")
        return
    print_table(_COLUMNS, containers)
    if not (yes or click.confirm("Remove these containers?", err=True)):
        print_message("Nothing was removed.")
        return
    removed = asyncio.run(_remove(path, [container["id"] for container in containers]))
    print_message(f"Removed {count(len(removed), 'container')}.")


_COLUMNS: dict[Column, Callable[[dict[str, Any]], str]] = {
    Column("Container"): lambda container: str(container["id"])[:12],
    Column("Deployment"): lambda container: str(container["deploymentId"]),
    Column("State"): lambda container: str(container["state"]),
    Column("Started", rank=1): lambda container: str(container["startedAt"] or ""),
}


async def _unknown(path: Path) -> list[dict[str, Any]]:
    async with control_of(path) as control:
        return await control.unknown()


async def _remove(path: Path, ids: list[str]) -> list[str]:
    async with control_of(path) as control:
        return await control.remove(ids)


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@database_option
def backup(file: Path, database: str | None) -> None:
    """Copy the database to a file, also while the server runs.

    The logs, the metrics, the API key, registries, instance types and secrets are copied too, to files next to the copy. Only
    their owner can read the copies.

    To restore a backup, stop the server. Next to the database, remove the files whose names end with -wal or -shm, and the
    logs and metrics, such as gradient.db.logs and gradient.db.metrics. Then replace the original files by the copies. Or
    pass the copy to `gradient server --database FILE`.

    \b
    Example:
      gradient server backup monday.db
    """
    from paperspace.gradient.server.storage.backup import back_up
    from paperspace.gradient.server.storage.files import UnusableDatabaseError

    try:
        done = back_up(_existing(database_file(database)), file)
    except UnusableDatabaseError as error:
        raise click.ClickException(f"{error}.") from error
    except OSError as error:
        raise click.ClickException(f"Cannot write {error.filename or file}: {error.strerror or error}.") from error
    print_message(
        "\n".join([*(f"Wrote {copy}" for copy in done.copies), *(f"Left out: {why}" for why in done.left_out)])
    )


@click.command("gateway")
@envoy_option
@database_option
def gateway(envoy: Path | None, database: str | None) -> None:
    """Run the gateway in the foreground, for a service manager such as systemd.

    Start the server with --external-gateway, and with the other options of the gateway: it then writes the
    configuration, and does not start Envoy. This command waits for the configuration, and then replaces itself by Envoy.
    Let the service manager restart this command when it ends.

    \b
    Example:
      gradient server gateway --database /var/lib/gradient/gradient.db
    """
    from paperspace.gradient.server.controller.gateway import GatewayUnavailableError
    from paperspace.gradient.server.defaults import gateway_folder
    from paperspace.gradient.server.gateway.binary import find_envoy
    from paperspace.gradient.server.gateway.runner import run_envoy

    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # while it waits, it ends as Envoy does
    try:
        run_envoy(gateway_folder(database_file(database, create_folder=True)), find_envoy(envoy), print_message)
    except GatewayUnavailableError as error:
        raise click.ClickException(str(error)) from error
