"""What a container uses, from responses of Docker engines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from paperspace.gradient.server.docker.usage import usage_of
from paperspace.gradient.server.usage import Usage

AT = datetime(2024, 5, 17, 9, 30, 0, 123456, tzinfo=UTC)


def statistics(**details: int) -> dict[str, Any]:
    """Return the statistics of a container that runs, with these details of its memory."""
    return {
        "read": "2024-05-17T09:30:00.123456789Z",
        "cpu_stats": {"cpu_usage": {"total_usage": 1_500_000_000, "percpu_usage": [1, 2]}, "online_cpus": 2},
        "memory_stats": {"usage": 5000, "limit": 9000, "stats": details},
    }


# Of Docker 20.10 and 28.5, for a container that has exited.
EXITED: list[dict[str, Any]] = [
    {
        "read": "0001-01-01T00:00:00Z",
        "cpu_stats": {"cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}},
        "memory_stats": {},
    },
    {"read": "0001-01-01T00:00:00Z", "cpu_stats": {"cpu_usage": {"total_usage": 0}}, "memory_stats": {"limit": 0}},
]


@pytest.mark.parametrize(
    ("details", "memory"),
    [
        pytest.param({"inactive_file": 1000, "total_inactive_file": 2000}, 3000, id="cgroup v1"),
        pytest.param({"inactive_file": 1000, "active_file": 500}, 4000, id="cgroup v2"),
        pytest.param({}, 5000, id="no details"),
        pytest.param({"inactive_file": 6000}, 0, id="more than all"),
    ],
)
def test_memory(details: dict[str, int], memory: int) -> None:
    """Files that the kernel can drop do not count, in both versions of cgroups."""
    assert usage_of(statistics(**details), 1.0) == Usage(AT, 1.5, memory, 1.0, 9000)


@pytest.mark.parametrize(("limit", "cpus"), [(None, 2.0), (0.5, 0.5), (8.0, 2.0)])
def test_cpus(limit: float | None, cpus: float) -> None:
    """A container can use the CPUs of its limit, and at most those of the machine."""
    usage = usage_of(statistics(), limit)
    assert usage is not None
    assert usage.cpus == cpus


@pytest.mark.parametrize("response", [None, {}, *EXITED])
def test_nothing_runs(response: dict[str, Any] | None) -> None:
    """A container that has exited or does not exist uses nothing that could be known; this is no error."""
    assert usage_of(response, 1.0) is None
