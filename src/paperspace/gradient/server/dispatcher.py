"""The dispatcher: executes each request in the lane that its work needs.

Changes run in one lane, one after another; those of the server itself, such as the state of instances, take turns with
those of requests, so that a request does not wait for all of them. Reads run in two others: first in the light lane, with a
small budget; a read that needs more starts again in the heavy lane. Neither light reads nor changes wait for heavy reads.
What the server reads for itself, such as its metrics, runs in a lane of its own: it may read much, and does not wait for
requests.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from paperspace.gradient.server.backend import Backend, Settings, open_backend
from paperspace.gradient.server.lanes import Lane
from paperspace.gradient.server.storage.budget import LIGHT, MAXIMUM, UNLIMITED, Budget
from paperspace.gradient.server.storage.checkpoints import Checkpoints
from paperspace.gradient.server.storage.files import IN_MEMORY
from paperspace.gradient.server.storage.purge import Purge

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient.server.engines.endpoints import EndpointResponse
    from paperspace.gradient.server.graphql.execution import Request
    from paperspace.gradient.server.graphql.responses import Response
    from paperspace.gradient.server.storage.database import Database

T = TypeVar("T")

_LIGHT_READERS = 2


class Dispatcher:
    """Execute requests, each in its lane. A database in memory has one connection, so that it has one lane.

    Attributes:
        committed: Called after each request that may have changed something.
        purge: Removes deleted deployments.
    """

    def __init__(self, settings: Settings) -> None:
        self.committed: Callable[[], None] = lambda: None
        self._stopped = threading.Event()
        self._changes = Lane("changes", partial(open_backend, settings, stopped=self._stopped.is_set))
        self._light = self._heavy = self._own = self._changes
        self._lanes = [self._changes]  # in the order in which they are opened
        self._checkpoints: Checkpoints | None = None
        self.purge = Purge(self._look_up, self._remove, simulated=settings.runtime.simulated)
        if str(settings.database) != IN_MEMORY:
            self._checkpoints = Checkpoints(settings.database)
            open_reader = partial(open_backend, settings, read_only=True)
            self._light = Lane("light reads", open_reader, _LIGHT_READERS)
            self._heavy = Lane("heavy reads", open_reader)
            self._own = Lane("own reads", open_reader)
            self._lanes += [self._light, self._heavy, self._own]

    async def open(self) -> None:
        """Open the connections.

        Raises:
            UnusableDatabaseError: the database cannot be used.
        """
        for lane in self._lanes:
            await lane.open()
        if self._checkpoints:
            await self._checkpoints.open()
        self.purge.open()

    def interrupt(self) -> None:
        """Drop the requests that wait, and interrupt those that run, or the start."""
        self._stopped.set()
        for lane in self._lanes:
            lane.stop()

    async def close(self) -> None:
        """Interrupt all requests and close the connections.

        That of changes is the last one, and closed alone: if two are closed at the same time, SQLite leaves the WAL.
        """
        self.interrupt()
        await self.purge.close()
        if self._checkpoints:
            await self._checkpoints.close()
        for lane in reversed(self._lanes):
            await lane.close()

    async def execute(self, request: Request) -> Response:
        """Execute a request.

        Raises:
            StoppedError: the server stopped first. Nothing was changed.
        """
        if not _may_be_mutation(request):
            return await self._read(request)
        try:
            return await self._change(request) or await self._read(request)
        finally:  # also if nobody waits any more: what runs is finished
            self._changed()
            self.committed()

    async def change(self, function: Callable[[Backend], T]) -> T:
        """Run a function of the server in a transaction, in the background.

        Raises:
            StoppedError: the server stopped first. Nothing was changed.
        """
        budget = Budget(UNLIMITED)
        try:
            return await self._changes.run(
                lambda backend: backend.change(function, budget), budget, finish=True, background=True
            )
        finally:
            self._changed()

    async def _look_up(self, function: Callable[[Database, Budget], T]) -> T:
        """Run a function that reads much, in a transaction of its own."""
        budget = Budget(UNLIMITED)
        return await self._own.run(lambda backend: function(backend.database, budget), budget, background=True)

    async def _remove(self, function: Callable[[Database, Budget], T]) -> T:
        """Run a function that removes rows that nothing needs any more, in a transaction of its own."""
        budget = Budget(UNLIMITED)
        try:
            return await self._changes.run(
                lambda backend: function(backend.database, budget), budget, finish=True, background=True
            )
        finally:
            if self._checkpoints:
                self._checkpoints.changed()

    def _changed(self) -> None:
        if self._checkpoints:
            self._checkpoints.changed()
        self.purge.changed()

    async def read(self, function: Callable[[Backend], T]) -> T:
        """Run a function of the server in a transaction, which sees one state of the database and may read much.

        Raises:
            StoppedError: the server stopped first.
        """
        budget = Budget(UNLIMITED)
        return await self._own.run(lambda backend: backend.read(function, budget), budget)

    async def _change(self, request: Request) -> Response | None:
        """Execute a mutation. None: it is none."""
        budget = Budget(MAXIMUM)
        return await self._changes.run(
            lambda backend: backend.executor.execute_mutation(request, budget), budget, finish=True
        )

    async def _read(self, request: Request) -> Response:
        if self._light is self._changes:
            return await _execute(self._changes, request, Budget(MAXIMUM))
        response = await _execute(self._light, request, Budget(LIGHT))
        if response.over_budget:
            response = await _execute(self._heavy, request, Budget(MAXIMUM))
        return response

    async def endpoint(self, deployment_id: str, authorization: str | None) -> EndpointResponse:
        """Return the response of the endpoint of a deployment.

        Args:
            deployment_id: The id of the deployment.
            authorization: The header `Authorization` of the request.

        Raises:
            StoppedError: the server stopped first.
        """
        budget = Budget(UNLIMITED)
        return await self._light.run(
            lambda backend: backend.endpoints.response(deployment_id, authorization, budget), budget
        )

    def reconcile(self, name: str) -> None:
        """Reconcile all deployments with this name.

        Raises:
            StoppedError: the server stopped first.
        """
        budget = Budget(UNLIMITED)
        self._changes.run_and_wait(lambda backend: backend.reconcile(name, budget), budget)


async def _execute(lane: Lane[Backend], request: Request, budget: Budget) -> Response:
    return await lane.run(
        lambda backend: backend.executor.execute(request, budget), budget, finish=_may_be_mutation(request)
    )


def _may_be_mutation(request: Request) -> bool:
    """Whether the document may have a mutation. If it starts to run, it is finished: a rollback takes longer."""
    return "mutation" in request.query and not request.read_only
