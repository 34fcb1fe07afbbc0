"""The report of `gradient server status`: plain data, and what is wrong in it."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared import server_files
from paperspace.gradient._shared.counting import count
from paperspace.gradient.server.controller.down import describe_engine, split
from paperspace.gradient.server.controller.engine import EngineUnavailableError
from paperspace.gradient.server.defaults import beside
from paperspace.gradient.server.storage.identity import SIMULATED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paperspace.gradient.server.controller.down import Estate
    from paperspace.gradient.server.controller.engine import Container, Engine
    from paperspace.gradient.server.controller.gateway import GatewayState
    from paperspace.gradient.server.storage.summary import Summary

LOW_DISK = 1024**3  # bytes
_LIST_TIMEOUT = 20.0  # seconds


async def describe_estate(estate: Estate | None, gateway: GatewayState | None) -> dict[str, Any]:
    """Return what belongs to a database outside of it: `engine`, `gateway` and `unknownContainers`.

    Args:
        estate: The containers. None: deployments are simulated.
        gateway: The state of the gateway. None: there is none.
    """
    if estate is None:
        engine = {"name": SIMULATED, "version": None, "problem": None}
        return {"engine": engine, "gateway": None, "unknownContainers": []}
    unknown: list[dict[str, Any]] | None = None
    version = problem = None
    try:
        version = await describe_engine(estate.engine)
        unknown = await unknown_containers(estate)
    except EngineUnavailableError as error:
        problem = str(error)
    return {
        "engine": {"name": estate.engine.name, "version": version, "problem": problem},
        "gateway": gateway and gateway._asdict(),
        "unknownContainers": unknown,
    }


def describe_missing_engine(name: str, problem: str, gateway: GatewayState) -> dict[str, Any]:
    """Return the same for an engine that cannot be used at all."""
    engine = {"name": name, "version": None, "problem": problem}
    return {"engine": engine, "gateway": gateway._asdict(), "unknownContainers": None}


async def unknown_containers(estate: Estate) -> list[dict[str, Any]]:
    """Return the containers that the database does not know.

    Raises:
        EngineUnavailableError: the engine does not respond.
    """
    _, unknown = await split(estate, await _containers(estate.engine))
    return [
        {
            "id": container.id,
            "deploymentId": container.key.deployment_id,
            "state": container.state,
            "startedAt": container.started_at and container.started_at.isoformat(timespec="seconds"),
        }
        for container in unknown
    ]


async def _containers(engine: Engine) -> list[Container]:
    try:
        async with asyncio.timeout(_LIST_TIMEOUT):
            return list(await engine.containers())
    except TimeoutError:
        raise EngineUnavailableError("The engine does not list its containers in time.") from None


def describe_deployments(summary: Summary) -> dict[str, Any]:
    """Return the deployments: `counts` by state, and `problems`."""
    return {"counts": summary.counts, "problems": [problem._asdict() for problem in summary.problems]}


def describe_disk(database: Path) -> dict[str, Any]:
    """Return the size of the files of a database, and the free space on their disk, in bytes."""
    real = Path(os.path.realpath(database))  # a symbolic link may lead to another disk
    databases = [real, *(beside(database, name) for name in server_files.DATABASES)]
    files = [file.with_name(f"{file.name}{suffix}") for file in databases for suffix in ("", "-wal", "-shm")]
    existing = next(folder for folder in real.parents if folder.is_dir())
    return {"path": str(database), "size": sum(map(_size, files)), "free": shutil.disk_usage(existing).free}


def _size(file: Path) -> int:
    """Return the size of a file in bytes; 0 if it does not exist. A server that stops removes some at any time."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def problems(report: dict[str, Any], version: str) -> Iterator[str]:
    """Return sentences about what is wrong in a report, and what to do.

    Args:
        report: The report.
        version: The version of the command.
    """
    path, server, gateway = report["database"]["path"], report["server"], report["gateway"]
    deployments, unknown = report["deployments"], report["unknownContainers"]
    if server is None:
        yield f"The server does not run. Start it with `gradient server --database {path}`."
    elif server["version"] != version:
        yield f"The server runs version {server['version']}; {version} is installed. Restart the server."
    if report["database"].get("problem"):
        yield f"The database cannot be read: {report['database']['problem']}."
    if report["engine"] and report["engine"]["problem"]:
        yield report["engine"]["problem"]
    if gateway and gateway["problem"]:
        yield gateway["problem"]
    elif gateway and not gateway["running"] and deployments and deployments["counts"]["ready"]:
        yield "The gateway does not run, so endpoints do not respond. The server starts it."
    if report["database"]["free"] < LOW_DISK:
        yield f"The disk of {path} is nearly full: {report['database']['free'] // 1024**2} MiB are free. Free some space."
    if deployments:
        yield from map(_describe_problem, deployments["problems"])
    if unknown:
        yield (
            f"{count(len(unknown), 'container')} of this server {'is' if len(unknown) == 1 else 'are'} not in its database, "
            "perhaps because an older backup was restored. `gradient server prune` shows and removes them."
        )


def _describe_problem(problem: dict[str, Any]) -> str:
    still_serves = " An earlier revision still serves." if problem["serving"] else ""
    return f"Deployment {problem['name']}: {problem['reason']}{still_serves}"
