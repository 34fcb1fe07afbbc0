"""The options of `gradient server` about the engine."""

from __future__ import annotations

import os
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click

from paperspace.gradient._shared.spec_rules import MAX_PORT
from paperspace.gradient.cli._numbers import FiniteRange
from paperspace.gradient.cli._option_groups import option_group


class EngineOption(StrEnum):
    """The values of `--engine`."""

    AUTO = "auto"
    SIMULATED = "simulated"
    DOCKER = "docker"


class EngineOptions(NamedTuple):
    """The options about the engine."""

    engine: str
    pull: str
    port_range: range
    drain_timeout: float
    strict_instance_types: bool
    models: Path | None
    repository_limit: int
    repository_timeout: float


class Folder(click.Path):
    """An existing folder. One whose file system does not respond is accepted: it may respond later."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the folder."""
        from paperspace.gradient.server.docker.file_systems import in_time

        try:
            return Path(os.fsdecode(in_time(Path(value), partial(super().convert, value, param, ctx))))
        except TimeoutError:
            return Path(value)


class PortRange(click.ParamType[range]):
    """A range of ports, such as 21000-22999."""

    name = "port range"

    def convert(self, value: str | range, param: click.Parameter | None, ctx: click.Context | None) -> range:
        """Return the ports."""
        if isinstance(value, range):
            return value
        first, _, last = value.partition("-")
        if not (first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last) <= MAX_PORT):
            self.fail("Pass the first and the last port, such as 21000-22999.", param, ctx)
        return range(int(first), int(last) + 1)


engine_options = option_group(
    "engine",
    EngineOptions,
    click.option(
        "--engine",
        type=click.Choice([option.value for option in EngineOption]),
        default=EngineOption.AUTO.value,
        show_default=True,
        help="What runs deployments. With auto, the deployments of an existing database run as before: on Docker or on the "
        "simulation. The deployments of a new database run on Docker if the extra docker and the program Envoy are installed "
        "and the Docker engine responds; otherwise, they run on the simulation.",
    ),
    click.option(
        "--pull",
        type=click.Choice(["missing", "always", "never"]),
        default="missing",
        show_default=True,
        help="When to pull the image of a new revision. `missing`: if the image is not on this machine, or if its "
        "tag is `latest` and it was not built on this machine.",
    ),
    click.option(
        "--port-range",
        type=PortRange(),
        metavar="FIRST-LAST",
        default="21000-22999",
        show_default=True,
        help="The ports of 127.0.0.1 that containers are published on.",
    ),
    click.option(
        "--drain-timeout",
        type=FiniteRange(0),
        default=300,
        show_default=True,
        metavar="SECONDS",
        help="The maximum time to let a container finish its active requests before it is stopped.",
    ),
    click.option(
        "--strict-instance-types",
        is_flag=True,
        help="Do not apply a spec whose instance type has more CPUs, memory or GPUs than this machine. Default: reduce them.",
    ),
    click.option(
        "--models",
        type=Folder(exists=True, file_okay=False),
        metavar="DIR",
        help="The folder of the models. It has a subfolder for each model. In specs, the id of a model is the name of its "
        "subfolder. Default: no models.",
    ),
    click.option(
        "--repository-limit",
        type=click.IntRange(1),
        default=1000,
        show_default=True,
        metavar="MB",
        help="The maximum size of a git repository with its files of Git LFS, in megabytes; it applies to the download and to the "
        "files, separately.",
    ),
    click.option(
        "--repository-timeout",
        type=FiniteRange(0, min_open=True),
        default=300,
        show_default=True,
        metavar="SECONDS",
        help="The maximum time to clone a git repository of a spec.",
    ),
)
