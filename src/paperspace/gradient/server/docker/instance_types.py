"""Instance types: names of hardware, such as `A100`, and the limits of a container that has this hardware."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from paperspace.gradient._shared.counting import count
from paperspace.gradient.server.settings_files import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

GIB = 2**30


class InstanceType(NamedTuple):
    """CPUs, memory in GiB and GPUs. None and no GPUs: the whole machine."""

    cpus: float | None = None
    memory: float | None = None
    gpus: int = 0
    """How many GPUs, whether they are free or not."""
    devices: tuple[str, ...] = ()
    """The ids of the GPUs, such as `0` or `GPU-5f1b…`. They take the place of `gpus`."""

    @property
    def gpu_count(self) -> int:
        """How many GPUs."""
        return len(self.devices) or self.gpus

    def describe(self) -> str:
        """Return, for example, "12 CPUs, 90 GiB, 1 GPU"."""
        parts = []
        if self.cpus is not None:
            parts.append(f"{self.cpus:g} CPU{'' if self.cpus == 1 else 's'}")
        if self.memory is not None:
            parts.append(f"{self.memory:.3g} GiB")
        if self.gpu_count:
            parts.append(count(self.gpu_count, "GPU"))
        return ", ".join(parts) or "no limits"


class Machine(NamedTuple):
    """What the engine's machine has: CPUs, memory in GiB, and GPUs that containers can use (None: any number)."""

    cpus: int
    memory: float
    gpus: int | None


def machine_of(info: Mapping[str, Any]) -> Machine:
    """Return what the machine has, as the engine reports it."""
    has_gpus = "nvidia" in info.get("Runtimes", {}) or any(
        device.get("ID", "").startswith("nvidia.com/gpu") for device in info.get("DiscoveredDevices") or ()
    )
    return Machine(info["NCPU"], info["MemTotal"] / GIB, None if has_gpus else 0)


def _gpus(name: str, cpus: float, memory: float, *more: int) -> dict[str, InstanceType]:
    """Return the type with one GPU, and those with more: each GPU adds the same CPUs and memory."""
    several = {f"{name}x{count}": InstanceType(cpus * count, memory * count, count) for count in more}
    return {name: InstanceType(cpus, memory, 1)} | several


# The names of the hosted service.
HOSTED: Mapping[str, InstanceType] = {
    "C2": InstanceType(1, 1),
    "C3": InstanceType(2, 2),
    "C4": InstanceType(2, 4),
    "C5": InstanceType(4, 8),
    "C6": InstanceType(8, 16),
    "C7": InstanceType(12, 30),
    "C8": InstanceType(16, 60),
    "C9": InstanceType(24, 120),
    "C10": InstanceType(32, 244),
    **_gpus("GPU+", 8, 30),
    **_gpus("P4000", 8, 30, 2),
    **_gpus("P5000", 8, 30, 2),
    **_gpus("P6000", 8, 30, 2),
    **_gpus("RTX4000", 8, 30, 2),
    **_gpus("RTX5000", 8, 30, 2),
    **_gpus("A4000", 8, 45, 2, 4),
    **_gpus("A5000", 8, 45, 2, 4),
    **_gpus("A6000", 8, 45, 2, 4),
    **_gpus("V100", 8, 30),
    **_gpus("V100-32G", 8, 30, 2, 4),
    **_gpus("A100", 12, 90),
    **_gpus("A100-80G", 12, 90, 2, 4, 8),
    **_gpus("H100", 20, 250, 8),
}


def fit(name: str, wanted: InstanceType, machine: Machine) -> tuple[InstanceType, Sequence[str]]:
    """Reduce an instance type to what the machine has.

    Returns:
        What remains, and a sentence if something is reduced.
    """
    cpus = None if wanted.cpus is None else min(wanted.cpus, machine.cpus)
    memory = None if wanted.memory is None else min(wanted.memory, machine.memory)
    fitting = wanted._replace(cpus=cpus, memory=memory)
    if machine.gpus is not None and wanted.gpu_count > machine.gpus:
        fitting = fitting._replace(gpus=machine.gpus, devices=())
    if fitting == wanted:
        return wanted, ()
    gpus = (
        " The Docker engine of this machine has no GPUs (`docker info` lists no runtime nvidia)."
        if wanted.gpu_count and not machine.gpus
        else ""
    )
    note = f"Instance type {name} has {wanted.describe()}, but this machine has only {fitting.describe()}.{gpus}"
    return fitting, (note,)


# The file


def read_instance_types(path: Path | None) -> dict[str, InstanceType]:
    """Return all instance types: the hosted ones, and those of the file.

    Raises:
        SettingsFileError: the file is invalid.
    """
    return {**HOSTED, **read_own_types(path)}


def read_own_types(path: Path | None) -> dict[str, InstanceType]:
    """Return the instance types of the file.

    Raises:
        SettingsFileError: the file is invalid.
    """
    return read_settings(path, _parse)


def _parse(value: Mapping[str, Any]) -> InstanceType:
    """Return an entry of the file.

    Raises:
        ValueError: a value is not valid.
    """
    entry = InstanceType(value.get("cpus"), value.get("memory"), value.get("gpus", 0), tuple(value.get("devices", ())))
    limits = [limit for limit in (entry.cpus, entry.memory) if limit is not None]
    if not all(type(limit) in (int, float) and 0 < limit < math.inf for limit in limits):
        raise ValueError(value)
    if type(entry.gpus) is not int or entry.gpus < 0:
        raise ValueError(value)
    return entry
