"""The engine of a database: the one that `gradient server` chooses, or the one that it was used with before, for other commands."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from paperspace.gradient._shared.counting import count
from paperspace.gradient._shared.server_files import INSTANCE_TYPES, REGISTRIES, REPOSITORIES, SECRETS
from paperspace.gradient.cli._server_engine_options import EngineOption
from paperspace.gradient.cli._server_gateway import make_gateway

if TYPE_CHECKING:
    from paperspace.gradient.cli._server_engine_options import EngineOptions
    from paperspace.gradient.cli._server_gateway import GatewayOptions
    from paperspace.gradient.server.controller.engine import Engine, EngineUnavailableError
    from paperspace.gradient.server.controller.gateway import Gateway
    from paperspace.gradient.server.engines.runtime import Runtime


class Choice(NamedTuple):
    """What runs deployments, and the first line of the output, which says what it is and why."""

    engine: Engine | None
    """None: the simulation."""
    line: str
    runtime: Runtime | None = None
    """The simulation, if it was asked for: it replaces the engine of the database."""
    gateway: Gateway | None = None
    """None: the simulation responds for endpoints."""


_SIMULATED = "Deployments are simulated; no containers run."
_FOR_CONTAINERS = "For containers, pass --engine docker."
_UNKNOWN_CONTAINERS = "So it is not known which containers it has. `docker ps --all --filter label=gradient.server` lists the containers of all databases."
_LEFT_TIMEOUT = 5.0  # seconds
_NO_EXTRA = "The extra docker is not installed. Install it with `pip install 'paperspace-gradient[docker]'`."


async def choose_engine(options: EngineOptions, gateway_options: GatewayOptions, database: str | Path) -> Choice:
    """Choose the engine.

    A new database gets Docker if its engine responds. Others keep their engine, whether it responds or not.

    Raises:
        ClickException: Docker was asked for and cannot be used.
        UnusableDatabaseError: the database cannot be read.
    """
    from paperspace.gradient.server.controller.engine import EngineUnavailableError
    from paperspace.gradient.server.controller.gateway import GatewayUnavailableError
    from paperspace.gradient.server.engines.simulation import Simulation
    from paperspace.gradient.server.storage.engine_choice import remembered_engine
    from paperspace.gradient.server.storage.files import IN_MEMORY

    if options.engine == EngineOption.SIMULATED:
        left = await left_on_docker(database)
        return Choice(None, f"Deployments are simulated. {left}" if left else _SIMULATED, Simulation())
    auto, remembered = options.engine == EngineOption.AUTO, remembered_engine(database)
    if auto and remembered == EngineOption.SIMULATED:
        return Choice(None, f"{_SIMULATED} This database was used with the simulation. {_FOR_CONTAINERS}")
    if auto and str(database) == IN_MEMORY:
        return Choice(None, f"{_SIMULATED} The database is in memory. {_FOR_CONTAINERS}")
    try:
        return await _choose_docker(options, gateway_options, database, keep=remembered == EngineOption.DOCKER)
    except (EngineUnavailableError, GatewayUnavailableError) as error:
        if auto and remembered is None:
            return Choice(None, f"{_SIMULATED} {error}")
        raise click.ClickException(str(error)) from error


async def _choose_docker(
    options: EngineOptions, gateway_options: GatewayOptions, database: str | Path, *, keep: bool
) -> Choice:
    """Choose Docker.

    Args:
        options: The options about the engine.
        gateway_options: The options about the gateway.
        database: The database.
        keep: Whether the database uses Docker already. Then an engine that does not respond is not an error.

    Raises:
        EngineUnavailableError: the extra is not installed, or the engine cannot be used.
        GatewayUnavailableError: the Envoy program does not exist.
    """
    from paperspace.gradient.server.controller.engine import EngineUnavailableError

    if not find_spec("aiodocker"):
        raise EngineUnavailableError(_NO_EXTRA)
    gateway = make_gateway(gateway_options, database)
    from paperspace.gradient.server.docker.engine import describe_engine

    try:
        line = f"Deployments run on {await describe_engine()}."
    except EngineUnavailableError as error:
        if not keep:
            raise
        line = f"This database uses Docker, which is not available now: {error} The server tries to connect again."
    return Choice(_docker(options, database), line, gateway=gateway)


def _docker(options: EngineOptions, database: str | Path) -> Engine:
    from paperspace.gradient.server.defaults import beside
    from paperspace.gradient.server.docker.engine import DockerEngine
    from paperspace.gradient.server.docker.images import Pull
    from paperspace.gradient.server.docker.requirements import Settings
    from paperspace.gradient.server.storage.files import IN_MEMORY

    settings = Settings(
        Pull(options.pull),
        options.strict_instance_types,
        models=options.models,
        repository_limit=options.repository_limit,
        repository_timeout=options.repository_timeout,
    )
    if str(database) != IN_MEMORY:
        settings = settings._replace(
            instance_types_file=beside(Path(database), INSTANCE_TYPES),
            registries_file=beside(Path(database), REGISTRIES),
            secrets_file=beside(Path(database), SECRETS),
            repositories=beside(Path(database), REPOSITORIES),
        )
    return DockerEngine(settings)


def engine_of(database: Path) -> Engine | EngineUnavailableError | None:
    """Return the engine that a database was used with. None: its deployments are simulated. Or why it cannot be used."""
    from paperspace.gradient.server.controller.engine import EngineUnavailableError
    from paperspace.gradient.server.storage.engine_choice import remembered_engine
    from paperspace.gradient.server.storage.files import UnusableDatabaseError

    try:
        if remembered_engine(database) != EngineOption.DOCKER:
            return None
    except UnusableDatabaseError as error:
        return EngineUnavailableError(f"{error}. {_UNKNOWN_CONTAINERS}")
    if not find_spec("aiodocker"):
        return EngineUnavailableError(_NO_EXTRA)
    return _docker_of(database)


def _docker_of(database: Path) -> Engine:
    from paperspace.gradient.server.defaults import beside
    from paperspace.gradient.server.docker.engine import DockerEngine
    from paperspace.gradient.server.docker.requirements import Settings

    return DockerEngine(Settings(repositories=beside(database, REPOSITORIES)))


async def left_behind(database: Path) -> str:
    """Return what `left_on_docker` says about a database that is simulated now; "" if it has an engine."""
    return await left_on_docker(database) if engine_of(database) is None else ""


async def left_on_docker(database: str | Path) -> str:
    """Say how many containers of a database that is simulated are left on Docker, and how to remove them; "" if there are none.

    "" too if Docker or the file cannot be used. The simulation does not touch the containers that a database had before: it may
    be a copy.
    """
    from paperspace.gradient.server.controller.engine import EngineUnavailableError
    from paperspace.gradient.server.storage.files import UnusableDatabaseError

    with suppress(UnusableDatabaseError, EngineUnavailableError):
        return await find_left(database)
    return ""


async def find_left(database: str | Path) -> str:
    """Return what `left_on_docker` says.

    Raises:
        EngineUnavailableError: the database had containers, and Docker cannot be used.
        UnusableDatabaseError: the file cannot be read.
    """
    from paperspace.gradient.server.controller.engine import EngineUnavailableError
    from paperspace.gradient.server.storage.engine_choice import label_of_containers

    label = label_of_containers(database)
    if label is None:
        return ""
    if not find_spec("aiodocker"):
        raise EngineUnavailableError(_NO_EXTRA)
    try:
        async with AsyncExitStack() as stack, asyncio.timeout(_LEFT_TIMEOUT):
            engine = _docker_of(Path(database))
            stack.push_async_callback(engine.close)
            await engine.connect(label)
            number = len(await engine.containers())
    except TimeoutError:
        raise EngineUnavailableError("The Docker engine does not respond in time.") from None
    if not number:
        return ""
    return (
        f"Docker still has {count(number, 'container')} of this database, or of one that it is a copy of. Those that run keep "
        "their endpoints. To remove them, start the server with `--engine docker`, and then run `gradient server down`."
    )
