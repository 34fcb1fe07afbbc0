"""Interface of what the commands control: a running server, or a database without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class ControlError(Exception):
    """The command cannot be carried out. The message says why, and what to do."""


class Control(Protocol):
    """What the commands control."""

    async def status(self) -> dict[str, Any]:
        """Return the state of the server, engine, gateway and deployments, as in `report`."""
        ...

    async def unknown(self) -> list[dict[str, Any]]:
        """Return the containers that the database does not know.

        Raises:
            ControlError: the engine does not respond.
        """
        ...

    async def remove(self, container_ids: Iterable[str]) -> list[str]:
        """Remove those of the containers that the database does not know. Return their ids.

        Raises:
            ControlError: the engine does not respond.
        """
        ...

    async def take_down(self, *, now: bool, report: Callable[[str], None]) -> dict[str, Any]:
        """Stop the server, all deployments and the gateway.

        Args:
            now: Whether to interrupt active requests.
            report: Called with a sentence about each step.

        Returns:
            `deployments`: how many were stopped; `unknown`: how many containers were kept.

        Raises:
            ControlError: it cannot be done.
        """
        ...
