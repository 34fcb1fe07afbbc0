"""The requests of each deployment, counted by Envoy.

Envoy never forgets a counter: those of a removed route stay until it ends. So the name of a counter does not contain the
id of a deployment but its slot: a number that belongs to another deployment later.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient._shared.daemon_threads import in_daemon_thread
from paperspace.gradient.server.usage import BOUNDS, NO_TRAFFIC, Traffic, add, increase

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

FILTER = r"^vhost\..*\.upstream_rq_(completed|5xx|time)$"
"""Selects the counters that are read, by their names in Envoy."""

_LINE = re.compile(
    r"^envoy_vhost_route_upstream_rq_(completed|xx|time_bucket|time_sum)"
    r'\{(?:envoy_response_code_class="(\d)",)?envoy_virtual_host="[^"]*",envoy_route="s(\d+)"(?:,le="([^"]*)")?\}'
    r" ([^0]\S*)$",  # most buckets are empty
    re.MULTILINE,
)
_SLOT = re.compile(r"s(\d+)")
_INDEXES = {f"{bound * 1000:g}": index for index, bound in enumerate(BOUNDS)}  # by the bound as Envoy writes it


class Counted(NamedTuple):
    """What was counted until a reading."""

    read: Mapping[int, Traffic]
    """The counters of Envoy, by slot."""
    totals: Mapping[str, Traffic]
    """The requests of each deployment, by its id."""


def slot_name(slot: int) -> str:
    """Return the name of a slot in the names of the counters."""
    return f"s{slot}"


def read_slot(name: str) -> int:
    """Return the slot with a name.

    Raises:
        ValueError: it is not the name of a slot.
    """
    found = _SLOT.fullmatch(name)
    if found is None:
        raise ValueError(name)
    return int(found[1])


def count(before: Counted | None, read: Mapping[int, Traffic], slots: Mapping[str, int]) -> Counted:
    """Return what was counted until now.

    Args:
        before: What was counted until the last reading. None: this is the first one, and requests count from now on.
        read: The counters of Envoy, by slot. They may have been started again.
        slots: The slot of each deployment.
    """
    if before is None:
        return Counted(read, dict.fromkeys(slots, NO_TRAFFIC))
    totals = {}
    for id_, slot in slots.items():
        new = increase(before.read.get(slot, NO_TRAFFIC), read.get(slot, NO_TRAFFIC))
        totals[id_] = add(before.totals.get(id_, NO_TRAFFIC), new)
    return Counted(read, totals)


class Counting:
    """Counts the requests of deployments, from one reading to the next."""

    def __init__(self) -> None:
        self._counted: Counted | None = None
        self._pid: int | None = None
        self._retired: set[int] = set()

    @property
    def avoid(self) -> frozenset[int]:
        """Slots that no deployment gets: the last requests of the one before have not been read yet."""
        return frozenset(self._retired)

    def retire(self, slot: int | None) -> None:
        """Avoid a slot, if it is one, until a reading that starts after this call."""
        if slot is not None:
            self._retired.add(slot)

    async def read(
        self,
        counters: Callable[[], Awaitable[str]],
        slots: Callable[[], Mapping[str, int]],
        pid: Callable[[], int | None],
    ) -> Mapping[str, Traffic]:
        """Return the requests of each deployment.

        Args:
            counters: Reads the counters of Envoy.
            slots: Returns the slot of each deployment.
            pid: Returns the id of Envoy's process. The counters of another one have started at zero.

        Raises:
            ValueError: the counters are not what Envoy sends, or the process changed meanwhile.
        """
        retired, before = self.avoid, pid()
        read = await in_daemon_thread(parse, await counters())
        if before is None or pid() != before:
            raise ValueError("it was started again meanwhile")
        if self._counted and self._pid != before:
            self._counted = self._counted._replace(read={})
        self._pid = before
        self._counted = count(self._counted, read, slots())
        self._retired -= retired
        return self._counted.totals


def parse(text: str) -> dict[int, Traffic]:
    """Return the counters of each slot from the text format of Prometheus.

    A slot has them up to twice: for the requests by path, and for those by host.

    Raises:
        ValueError: the text is not what Envoy sends.
    """
    slots: dict[str, _Counters] = {}
    for name, response_class, slot, bound, number in _LINE.findall(text):
        counters = slots.setdefault(slot, _Counters())
        if name == "time_bucket":
            counters.at_most[_INDEXES.get(bound, len(BOUNDS))] += int(number)
        elif name == "completed":
            counters.requests += int(number)
        elif name == "time_sum":
            counters.seconds += float(number) / 1000
        elif response_class == "5":
            counters.errors += int(number)
    if text and not slots:
        raise ValueError(text[:100])
    return {int(slot): counters.traffic() for slot, counters in slots.items()}


class _Counters:
    """The counters of a slot while they are read."""

    def __init__(self) -> None:
        self.requests = self.errors = 0
        self.seconds = 0.0
        self.at_most = [0] * (len(BOUNDS) + 1)  # how many requests took at most each of the bounds

    def traffic(self) -> Traffic:
        durations = tuple(more - fewer for fewer, more in pairwise((0, *self.at_most)))
        return Traffic(self.requests, self.errors, self.seconds, durations)
