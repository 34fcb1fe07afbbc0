"""How long something has been the case, as far as this server has observed. The clock of the machine has no effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paperspace.gradient._shared.event_loops import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Stopwatch:
    """Measures for how long things have been observed. `now` returns seconds; they never jump."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._since: dict[str, float] = {}

    def observe(self, ids: Iterable[str]) -> Mapping[str, float]:
        """Return for how many seconds each id was observed without interruption; 0 for new ones. Others are forgotten."""
        now = self._now()
        self._since = {id_: self._since.get(id_, now) for id_ in ids}
        return {id_: now - since for id_, since in self._since.items()}
