"""Runs one operation to its end: sends it, checks the answer, sends it again where that is right, within one deadline."""

from __future__ import annotations

import asyncio
import logging
import platform
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import uuid4

from paperspace.gradient._core.connections import Connections
from paperspace.gradient._core.documents import Document, load_document
from paperspace.gradient._core.failures import AttemptFailed
from paperspace.gradient._core.responses import Reply, check_errors, facts_of, read_reply
from paperspace.gradient._core.retry import Budget, FailureKind, resend_delay
from paperspace.gradient._core.transport import HTTPTransport
from paperspace.gradient._core.validation import check_shape, reader, require_shape
from paperspace.gradient._version import __version__
from paperspace.gradient.errors import (
    APIError,
    APITimeoutError,
    AuthenticationError,
    ClientClosedError,
    MalformedResponseError,
    OutcomeUnknownError,
    PartialResultError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from pathlib import Path

    from paperspace.gradient._shared.operation import Operation
    from paperspace.gradient.config import Settings

V = TypeVar("V")
R = TypeVar("R")

log = logging.getLogger("paperspace.gradient")


class Call:
    """One call of a user: its deadline, and what has been tried. A call may take several requests.

    Attributes:
        started: When it began, by the clock of the loop.
        deadline: When it has to be over.
        attempts: How often its latest request was tried.
        in_doubt: Whether an earlier try of its latest request, a change, may have been carried out.
        server_date: What the server's clock said with its latest answer.
    """

    __slots__ = ("_loop", "attempts", "deadline", "in_doubt", "server_date", "started")

    def __init__(self, timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.started = self._loop.time()
        self.deadline = self.started + timeout
        self.attempts = 0
        self.in_doubt = False
        self.server_date: str | None = None

    def refused_in_doubt(self, error: APIError) -> bool:
        """Whether the server refused a resend whose earlier try it may have carried out."""
        return self.in_doubt and self.attempts > 1 and not isinstance(error, OutcomeUnknownError)

    @property
    def elapsed(self) -> float:
        """The seconds since its start."""
        return self._loop.time() - self.started

    @property
    def left(self) -> float:
        """The seconds up to its deadline."""
        return self.deadline - self._loop.time()


class Session:
    """Runs operations with the settings of a client, over its connections."""

    def __init__(
        self, settings: Settings, connections: Connections | None = None, budget: Budget | None = None
    ) -> None:
        self.settings = settings
        self._connections = connections or Connections(partial(_make_transport, settings))
        self._budget = budget or Budget()

    def with_settings(self, **changes: Any) -> Session:
        """A session with other settings over the same connections."""
        return Session(replace(self.settings, **changes), self._connections, self._budget)

    def start(self) -> Call:
        """Starts a call of several requests that share one deadline."""
        return Call(self.settings.timeout)

    async def close(self) -> None:
        """Closes the connections. Calls that are under way end with ClientClosedError."""
        await self._connections.close()

    async def run(
        self,
        operation: Operation[V, R],
        variables: V,
        *,
        call: Call | None = None,
        verify: Callable[[R], str | None] = lambda _: None,
    ) -> R:
        """Runs a checked-in operation and returns its data, checked.

        Args:
            operation: Which one.
            variables: Its variables. What is None is left out, so that the server's default holds.
            call: The call that it belongs to, where it is not one of its own.
            verify: Says what is wrong with data that have the right shape, None if nothing is.

        Raises:
            GradientError: See `paperspace.gradient.errors`.
        """
        shape = operation.result

        def check(reply: Reply) -> R:
            data = check_errors(reply)
            result = cast("R", data) if reply.shape is shape else check_shape(shape, data)
            if complaint := verify(result):
                raise AttemptFailed(MalformedResponseError(complaint), FailureKind.BROKEN)
            return result

        document = load_document(operation.name)
        given = {key: value for key, value in cast("dict[str, object]", variables).items() if value is not None}
        return await self._run(document, given, check, call or self.start(), read=reader(cast("Hashable", shape)))

    async def execute(
        self,
        document: str | Path,
        variables: object,
        result: type[R] | None,
        *,
        check: bool,
        idempotent: bool,
    ) -> R | dict[str, object]:
        """Runs an operation of the user's own; see `Client.execute`."""
        from paperspace.gradient._core.custom_operations import check_variables, own_document, require_variables

        own = own_document(document, check=check)
        given = check_variables(own, variables) if check else require_variables(variables)
        if result is not None:
            require_shape(result)
        call = self.start()
        data = await self._run(own, given, check_errors, call, idempotent=idempotent or not own.is_mutation)
        if result is None:
            return data
        try:
            return check_shape(result, data)
        except AttemptFailed as failure:
            # The server has done what it was asked for; it is the shape that does not fit.
            error = failure.error
            error.operation, error.attempts, error.elapsed = own.name, call.attempts, call.elapsed
            error.may_have_executed = "yes" if own.is_mutation else "no"
            raise error from None

    async def _run(
        self,
        document: Document,
        variables: dict[str, Any],
        check: Callable[[Reply], R],
        call: Call,
        *,
        read: Callable[[int, Mapping[str, str], bytes], Reply] = read_reply,
        idempotent: bool = True,
    ) -> R:
        headers = {"Idempotency-Key": str(uuid4())} if document.is_mutation else None
        call.attempts, call.in_doubt = 0, False
        met: list[FailureKind] = []  # the faults after which it was sent again
        while True:
            transport = await self._connections.transport()
            request = document.request(variables)
            call.attempts += 1
            reply = None
            try:
                reply = await transport.execute(
                    request, headers=headers, deadline=call.deadline, fresh=bool(met), read=read
                )
                result = check(reply)
            except AttemptFailed as failure:
                call.in_doubt |= document.is_mutation and failure.kind.in_doubt
                add_facts(failure.error, reply)
                wait = self._wait(failure, met, call, idempotent=idempotent)
                if wait is not None:
                    # Not the message, in which the server may repeat what it was sent.
                    log.info(
                        "%s: sent again in %.2f s, after %s (HTTP status %s)",
                        document.name,
                        wait,
                        type(failure.error).__name__,
                        failure.error.status,
                    )
                    await transport.pause(wait)
                if wait is None or self._connections.closed:
                    error = self._explain(failure, document, call)
                    raise error from error.__cause__
                met.append(failure.kind)
            else:
                call.server_date = reply.headers.get("Date")
                log.debug("%s: HTTP %d after %.3f s", document.name, reply.status, call.elapsed)
                self._budget.give_back(len(met))
                return result

    def _wait(self, failure: AttemptFailed, met: list[FailureKind], call: Call, *, idempotent: bool) -> float | None:
        """The seconds before the request is sent again; None where it is not to be."""
        wait = resend_delay(
            failure.kind,
            resends=len(met),
            alike=met.count(failure.kind),
            max_retries=self.settings.max_retries,
            retry_after=failure.error.retry_after,
            idempotent=idempotent,
        )
        if wait is None or wait >= call.left or self._connections.closed:
            return None
        if not self._budget.take():
            spent = "not sent again, as the calls of this client have used up the resends that they share"
            failure.error.args = (f"{failure.error.args[0]}; {spent}",)
            return None
        return wait

    def _explain(self, failure: AttemptFailed, document: Document, call: Call) -> APIError | ClientClosedError:
        """The error for the user, with everything that is known about the call."""
        error = failure.error
        error.__cause__ = failure.__cause__
        message = self.settings.masked(str(error.args[0]))
        if isinstance(error, APITimeoutError):
            message += f", within the {self.settings.timeout:g} s of this call (timeout)"
        elif isinstance(error, AuthenticationError):
            message = f"{message.removesuffix('.')}; the key comes from {self.settings.api_key_source}"
        error.args = (message,)
        doubt = "the change may have been carried out, or not; look before you try again"
        if self._connections.closed:
            hint = f"; {doubt}" if call.in_doubt else ""
            return ClientClosedError(f"{document.name}: the client was closed during the call{hint}")
        if call.in_doubt and failure.kind not in {FailureKind.FINAL, FailureKind.REFUSED, FailureKind.DOUBTFUL}:
            error = OutcomeUnknownError(
                f"{doubt}; what happened: {message}",
                status=error.status,
                code=error.code,
                request_id=error.request_id,
                retry_after=error.retry_after,
            )
            error.__cause__ = failure.error
        error.operation, error.attempts, error.elapsed = document.name, call.attempts, call.elapsed
        if call.in_doubt:
            executed = isinstance(error, PartialResultError)
            error.may_have_executed = "yes" if executed else "unknown"
        return error


def add_facts(error: APIError, reply: Reply | None) -> None:
    """Notes on the error what the answer that it is about says of itself."""
    if reply is not None and error.status is None:
        facts = facts_of(reply.status, reply.headers)
        error.status, error.request_id, error.retry_after = facts["status"], facts["request_id"], facts["retry_after"]


def _make_transport(settings: Settings) -> HTTPTransport:
    headers = {
        "Authorization": f"Bearer {settings.api_key}",
        "Accept": "application/graphql-response+json, application/json;q=0.9",
        "Content-Type": "application/json",
        "User-Agent": f"paperspace-gradient/{__version__} Python/{platform.python_version()}",
    }
    return HTTPTransport(settings.api_url, headers, max_response_bytes=settings.max_response_bytes)
