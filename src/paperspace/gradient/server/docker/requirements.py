"""What a workload needs to run on this machine: a valid image, credentials, an instance type, secrets, models, repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from paperspace.gradient.server.docker.images import Pull
from paperspace.gradient.server.docker.instance_types import InstanceType, Machine, fit, read_instance_types
from paperspace.gradient.server.docker.models import mounts
from paperspace.gradient.server.docker.references import parse_reference
from paperspace.gradient.server.docker.registries import Registry, read_registries
from paperspace.gradient.server.docker.remotes import remotes
from paperspace.gradient.server.engines.runtime import UnsupportedSpecError
from paperspace.gradient.server.secrets import SecretValues
from paperspace.gradient.server.settings_files import SettingsFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from paperspace.gradient.server.controller.engine import Workload
    from paperspace.gradient.server.docker.remotes import Remote

T = TypeVar("T")


class Settings(NamedTuple):
    """How the engine runs containers, as in the options of `gradient server`."""

    pull: Pull = Pull.MISSING
    strict_instance_types: bool = False
    instance_types_file: Path | None = None
    registries_file: Path | None = None
    secrets_file: Path | None = None
    models: Path | None = None
    """The folder of the models, which has one folder for each."""
    repositories: Path | None = None
    """The folder in which the files of repositories are stored. None: a temporary one."""
    repository_limit: int = 1000
    """Megabytes of a repository, of its download and of its files."""
    repository_timeout: float = 300.0
    """Seconds to clone a repository."""


DEFAULT_SETTINGS = Settings()


class Needs(NamedTuple):
    """What a container gets from this machine."""

    env: list[str]
    """The environment variables, such as `NAME=value`, with the values of secrets."""
    mounts: list[dict[str, Any]]
    limits: InstanceType
    notes: Sequence[str]
    """Sentences about what is reduced."""


def check(workload: Workload, settings: Settings, machine: Machine | None) -> Sequence[str]:
    """Check the image, the registry, the secrets, the models, the repositories and the instance type; return what is reduced.

    Raises:
        UnsupportedSpecError: the workload cannot run.
    """
    try:
        parse_reference(workload.image)
    except ValueError as error:
        raise UnsupportedSpecError(
            f"Image {workload.image!r} is not a valid reference, such as team/app:1.0."
        ) from error
    registry_of(workload, settings)
    needs = needs_of(workload, settings, machine)
    remotes_of(workload, settings)
    if needs.notes and settings.strict_instance_types:
        raise UnsupportedSpecError(
            f"{needs.notes[0]} With --strict-instance-types, the server does not apply such a spec: select a smaller instance "
            "type, or start the server without this option."
        )
    return needs.notes


def needs_of(workload: Workload, settings: Settings, machine: Machine | None) -> Needs:
    """Return what a container gets from this machine.

    Raises:
        UnsupportedSpecError: the machine does not have something.
    """
    limits, notes = _limits_of(workload, settings, machine)
    secrets = SecretValues(settings.secrets_file)
    env = [
        f"{variable}={secrets.value(value, f'env[{index}].value')}"
        for index, (variable, value) in enumerate(workload.env)
    ]
    return Needs(env, mounts(workload.models, settings.models), limits, notes)


def registry_of(workload: Workload, settings: Settings) -> Registry | None:
    """Return the registry of a workload, with its credentials. Its image is valid.

    Raises:
        UnsupportedSpecError: it is not stored, or the image is in another one.
    """
    if workload.registry is None:
        return None
    known = _read(read_registries, settings.registries_file)
    if workload.registry not in known:
        raise UnsupportedSpecError(
            f"Unknown registry {workload.registry}; known: {', '.join(known) or 'none'}. "
            "Store it with `gradient server registries set`."
        )
    registry, host = known[workload.registry], parse_reference(workload.image).registry
    if registry.host != host:
        raise UnsupportedSpecError(
            f"Image {workload.image} is in {host}, but registry {workload.registry} is {registry.host}. "
            "Credentials are not sent to another host: change `image` or `containerRegistry`."
        )
    return registry


def remotes_of(workload: Workload, settings: Settings) -> Sequence[Remote]:
    """Return the repositories of a workload.

    Raises:
        UnsupportedSpecError: one cannot be cloned.
    """
    return remotes(workload, SecretValues(settings.secrets_file))


def _limits_of(workload: Workload, settings: Settings, machine: Machine | None) -> tuple[InstanceType, Sequence[str]]:
    """Return the limits of a workload, reduced to the machine, and a sentence if they are reduced."""
    name = workload.instance_type
    if name is None:
        return InstanceType(), ()
    known = _read(read_instance_types, settings.instance_types_file)
    if name not in known:
        raise UnsupportedSpecError(
            f"Unknown instance type {name}; known: {', '.join(known)}. Add it with `gradient server instance-types set`."
        )
    return (known[name], ()) if machine is None else fit(name, known[name], machine)


def _read(function: Callable[[Path | None], dict[str, T]], path: Path | None) -> dict[str, T]:
    try:
        return function(path)
    except SettingsFileError as error:
        raise UnsupportedSpecError(str(error)) from error
