"""What a workload needs to run on this machine: a valid image, credentials for its registry, an instance type, secrets, models."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from paperspace.gradient.server.docker.images import Pull
from paperspace.gradient.server.docker.instance_types import InstanceType, Machine, fit, read_instance_types
from paperspace.gradient.server.docker.models import mounts
from paperspace.gradient.server.docker.references import parse_reference
from paperspace.gradient.server.docker.registries import Registry, read_registries
from paperspace.gradient.server.docker.secrets import find_secret, read_secrets, secret_name, variable_of
from paperspace.gradient.server.docker.settings_files import SettingsFileError
from paperspace.gradient.server.engines.runtime import UnsupportedSpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from paperspace.gradient.server.controller.engine import Workload
    from paperspace.gradient.server.docker.secrets import Secret

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
    """Check the image, the registry, the secrets, the models and the instance type; return what is reduced.

    Raises:
        UnsupportedSpecError: the workload cannot run.
    """
    try:
        reference = parse_reference(workload.image)
    except ValueError as error:
        raise UnsupportedSpecError(
            f"Image {workload.image!r} is not a valid reference, such as team/app:1.0."
        ) from error
    registry = registry_of(workload, settings)
    if registry is not None and registry.host != reference.registry:
        raise UnsupportedSpecError(
            f"Image {workload.image} is in {reference.registry}, but registry {workload.registry} is {registry.host}. "
            "Credentials are not sent to another host: change `image` or `containerRegistry`."
        )
    needs = needs_of(workload, settings, machine)
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
    return Needs(_env_of(workload, settings), mounts(workload.models, settings.models), limits, notes)


def registry_of(workload: Workload, settings: Settings) -> Registry | None:
    """Return the registry of a workload, with its credentials.

    Raises:
        UnsupportedSpecError: it is not stored.
    """
    if workload.registry is None:
        return None
    known = _read(read_registries, settings.registries_file)
    if workload.registry not in known:
        raise UnsupportedSpecError(
            f"Unknown registry {workload.registry}; known: {', '.join(known) or 'none'}. "
            "Store it with `gradient server registries set`."
        )
    return known[workload.registry]


def _env_of(workload: Workload, settings: Settings) -> list[str]:
    """Return the environment variables of a workload, with the values of secrets."""
    stored: Mapping[str, Secret] | None = None
    env = []
    for index, (variable, value) in enumerate(workload.env):
        if name := secret_name(value):
            stored = _read(read_secrets, settings.secrets_file) if stored is None else stored
            secret = find_secret(name, stored, os.environ)
            if secret is None:
                raise UnsupportedSpecError(
                    f"Unknown secret {name} in env[{index}].value; known: {', '.join(stored) or 'none'}. Store it with "
                    f"`gradient server secrets set {name}`, or start the server with {variable_of(name)} in its environment."
                )
            value = secret  # noqa: PLW2901
        env.append(f"{variable}={value}")
    return env


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
