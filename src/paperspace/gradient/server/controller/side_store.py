"""A file beside the database, for the event loop: what changes it runs in a thread of its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Generic, TypeVar

from paperspace.gradient.server.lanes import Lane, Resource
from paperspace.gradient.server.storage.budget import UNLIMITED, Budget
from paperspace.gradient.server.storage.side_file import SideFileError

if TYPE_CHECKING:
    from collections.abc import Callable

FileT = TypeVar("FileT", bound=Resource)
T = TypeVar("T")

_log = logging.getLogger(__name__)


class SideStore(Generic[FileT]):
    """Changes a file. That it cannot be used is logged once, until it can be used again.

    Args:
        name: The name of the thread.
        open_file: Opens the file, in this thread.

    Attributes:
        failures: How often the file could not be used.
    """

    def __init__(self, name: str, open_file: Callable[[], FileT]) -> None:
        self._lane = Lane(name, open_file)
        self._reported = ""
        self.failures = 0

    async def open(self) -> None:
        """Start the thread."""
        await self._lane.open()

    async def close(self) -> None:
        """Finish what runs, and close the file."""
        await self._lane.close()

    async def run(self, function: Callable[[FileT], T]) -> T:
        """Run a function, after all before.

        Raises:
            SideFileError: the file cannot be used.
        """
        try:
            result = await self._lane.run(function, Budget(UNLIMITED), finish=True)
        except SideFileError as error:
            self.failures += 1
            if str(error) != self._reported:
                _log.warning("%s", error)
            self._reported = str(error)
            raise
        self._reported = ""
        return result
