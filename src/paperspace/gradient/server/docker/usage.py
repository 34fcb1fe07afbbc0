"""What a container uses, from the statistics of the Docker engine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from paperspace.gradient.server.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

_NANOSECONDS = 1_000_000_000


def usage_of(statistics: Mapping[str, Any] | None, cpus: float | None) -> Usage | None:
    """Return what a container uses. None: it does not run.

    Args:
        statistics: The response of the engine. It is null, or its values are zero or missing, if the container has
            ended or ends at the same time.
        cpus: The limit of the container. None: all CPUs of the machine.
    """
    statistics = statistics or {}
    cpu, memory = statistics.get("cpu_stats") or {}, statistics.get("memory_stats") or {}
    used = (cpu.get("cpu_usage") or {}).get("total_usage")
    if not used or "usage" not in memory or "read" not in statistics:
        return None
    online = cpu.get("online_cpus") or len(cpu["cpu_usage"].get("percpu_usage") or ()) or 1
    return Usage(
        at=_time(statistics["read"]),
        cpu_seconds=used / _NANOSECONDS,
        memory=max(memory["usage"] - _droppable(memory.get("stats") or {}), 0),
        cpus=min(cpus or online, online),
        memory_limit=memory.get("limit", 0),
    )


def _droppable(details: Mapping[str, int]) -> int:
    """Return the bytes of cached files that were not used lately: the first name is that of cgroup v1, which has both."""
    return details.get("total_inactive_file", details.get("inactive_file", 0))


def _time(text: str) -> datetime:
    """Parse a time of the engine, which has up to nine digits after the point."""
    seconds, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{seconds}.{fraction[:6]:0<6}").replace(tzinfo=UTC)
