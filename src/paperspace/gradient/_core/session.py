"""Run one operation: send it, validate the response, and retry where that is safe, within one deadline."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from paperspace.gradient._core.connections import Connections, running_loop
from paperspace.gradient._core.documents import Document, load_document
from paperspace.gradient._core.failures import AttemptFailed
from paperspace.gradient._core.frames import without_frames
from paperspace.gradient._core.responses import HTTPResponse, data_of, parse_result
from paperspace.gradient._core.retry import FailureKind, RetryBudget, parse_date, retry_delay
from paperspace.gradient._core.validation import read_data, require_shape, validate
from paperspace.gradient._shared.event_loops import monotonic
from paperspace.gradient._shared.random_uuid import random_uuid
from paperspace.gradient._shared.secrets import without_secrets
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
    from collections.abc import Callable
    from pathlib import Path

    from paperspace.gradient._shared.operation import Operation
    from paperspace.gradient.config import Settings

V = TypeVar("V")
R = TypeVar("R")

_log = logging.getLogger("paperspace.gradient")

_IDEMPOTENCY_KEY = "Idempotency-Key"

# Seconds that a field is left out which the server lacks. Then it is asked again, as it may have been upgraded: a client that
# does not read a field would remove it from a spec that it changes.
_MISSING_LIFETIME = 600.0

# Seconds that a server surely remembers a key. Ours does for a day, and a machine may sleep longer in the middle of a call.
_KEY_LIFETIME = 3600.0

# A clock that goes on while the machine sleeps, unlike that of the event loop, and that nobody sets. Only Linux has it.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)
_UNKNOWN = "the change may have been applied; check before retrying"


class Call:
    """One call of a function: its deadline, and the attempts of its latest request. A call may take several requests.

    Attributes:
        deadline: When it must end, by the clock of the event loop.
        attempts: The attempts of its latest request.
        response_lost: Whether the response to an attempt of its latest request, a change, was lost.
        last_failure: How the latest attempt failed. None: no attempt of the latest request has failed.
        server_date: The Date header of the latest response.
        variables: The variables of its latest request, whose secrets the server may repeat in an error.
    """

    def __init__(self, timeout: float) -> None:
        self._loop = running_loop()
        self._started = _seconds()
        self.deadline = self._loop.time() + timeout
        self.attempts = 0
        self.response_lost = False
        self.last_failure: FailureKind | None = None
        self.server_date: str | None = None
        self.variables: dict[str, Any] = {}

    @property
    def rejected_after_lost_response(self) -> bool:
        """Whether the server rejected a retry of a change that it may have applied before."""
        return self.response_lost and self.last_failure in {FailureKind.FINAL, FailureKind.DOUBTFUL}

    @property
    def elapsed(self) -> float:
        """The seconds since the start, also those in which the machine slept."""
        return _seconds() - self._started

    @property
    def remaining(self) -> float:
        """The seconds until the deadline."""
        return self.deadline - self._loop.time()


class Session:
    """Runs operations with the settings of a client, over its connections."""

    def __init__(
        self,
        settings: Settings,
        connections: Connections | None = None,
        budget: RetryBudget | None = None,
        missing: dict[str, float] | None = None,
    ) -> None:
        self.settings = settings
        self._connections = connections or Connections(settings)
        self._budget = budget or RetryBudget()
        self._missing = {} if missing is None else missing
        # The Date header of the latest response, and the time of our clock then.
        self._dates: tuple[str | None, datetime] = (None, datetime.now(UTC))

    @without_frames
    def with_settings(self, **changes: Any) -> Session:
        """Return a session with other settings over the same connections."""
        return Session(replace(self.settings, **changes), self._connections, self._budget, self._missing)

    @property
    def clock_difference(self) -> timedelta:
        """How much later it is by the clock of the server than by ours, as far as the latest response says."""
        server_date, now = self._dates
        server_time = parse_date(server_date)
        return server_time - now if server_time else timedelta(0)

    @property
    def missing(self) -> frozenset[str]:
        """The fields of our schema that the server is known to lack. Its rejection of an operation has named them."""
        known = self._missing.copy()  # another thread may add to it meanwhile
        return frozenset(field for field, until in known.items() if _seconds() < until)

    def start(self) -> Call:
        """Start a call whose requests share one deadline."""
        return Call(self.settings.timeout)

    async def close(self) -> None:
        """Close the connections. Calls in progress end with ClientClosedError."""
        await self._connections.close()

    async def run(
        self,
        operation: Operation[V, R],
        variables: V,
        *,
        call: Call | None = None,
        verify: Callable[[R], str | None] | None = None,
    ) -> R:
        """Run a checked-in operation and return its data, validated.

        Args:
            operation: The operation.
            variables: Its variables. Those that are None are left out, so that the server's defaults apply.
            call: The call that the request belongs to. None: a call of its own.
            verify: Returns what is wrong with data that has the right shape, or None.

        Raises:
            GradientError: See `paperspace.gradient.errors`.
        """
        document = load_document(operation.name)
        values = {key: value for key, value in cast("dict[str, object]", variables).items() if value is not None}

        def read(response: HTTPResponse) -> R:
            data = read_data(response, operation.result)
            if verify is not None and (complaint := verify(data)):
                raise AttemptFailed(MalformedResponseError, complaint, FailureKind.BROKEN, response.facts())
            return data

        return await self._send(document, values, call or self.start(), read)

    async def execute(
        self,
        document: str | Path,
        variables: object,
        result: type[R] | None,
        *,
        check: bool,
        idempotent: bool,
    ) -> R | dict[str, object]:
        """Run an operation of the user; see `Client.execute`."""
        from paperspace.gradient._core.custom_operations import check_variables, custom_document, require_variables

        operation = custom_document(document, check=check)
        values = check_variables(operation, variables) if check else require_variables(variables)
        if result is not None:
            require_shape(result)
        call = self.start()

        def read(response: HTTPResponse) -> dict[str, object]:
            return data_of(parse_result(response), response, valid=check)

        data = await self._send(operation, values, call, read, idempotent=idempotent or not operation.is_mutation)
        if result is None:
            return data
        try:
            return validate(result, data)
        except AttemptFailed as failure:
            # Not retried: the server has executed the operation, and it is the user's shape that does not match.
            error = self._build_error(failure, operation, call)
            error.may_have_executed = "yes" if operation.is_mutation else "no"
            raise error from None

    async def _send(
        self,
        document: Document,
        variables: dict[str, Any],
        call: Call,
        read: Callable[[HTTPResponse], R],
        *,
        idempotent: bool = True,
    ) -> R:
        """Send a request until it succeeds or a retry is not allowed. Return what `read` makes of the response."""
        headers = {_IDEMPOTENCY_KEY: str(random_uuid())} if document.is_mutation else {}
        call.attempts, call.response_lost, call.last_failure, call.variables = 0, False, None, variables
        failures: list[FailureKind] = []
        while True:
            transport = await self._connections.transport()
            sent = document.without(self.missing)
            request = sent.request(variables)
            call.attempts += 1
            response = None
            try:
                response = await transport.send(
                    request, headers, deadline=call.deadline, force_new_connection=bool(failures)
                )
                data = read(response)
            except AttemptFailed as attempt_failed:
                # Handled below: an error raised here would have a context, with the message as the server sent it.
                failure = attempt_failed
            else:
                call.server_date = response.headers.get("Date")
                self._dates = (call.server_date, datetime.now(UTC))
                _log.debug("%s: HTTP %d after %.3f s", document.name, response.status, call.elapsed)
                self._budget.refund(len(failures))
                return data
            if missing := failure.unknown_fields & sent.additions:
                self._missing |= dict.fromkeys(missing, _seconds() + _MISSING_LIFETIME)
                continue  # without them, at once: nothing was executed
            call.last_failure = failure.kind
            is_known = response is not None and _repeats_key(response, headers) and call.elapsed < _KEY_LIFETIME
            if failure.kind is FailureKind.FINAL and is_known:
                call.response_lost = False
            call.response_lost |= document.is_mutation and failure.kind.response_lost
            delay = self._delay_within_deadline(failure, failures, call, idempotent=idempotent)
            if delay is None:
                raise self._final_error(failure, document, call)
            if not self._budget.take():
                raise self._final_error(failure, document, call, budget_exhausted=True)
            _log_retry(document, failure, delay)
            await transport.pause(delay)
            if self._connections.closed:  # during the pause
                raise self._final_error(failure, document, call)
            failures.append(failure.kind)

    def _delay_within_deadline(
        self, failure: AttemptFailed, failures: list[FailureKind], call: Call, *, idempotent: bool
    ) -> float | None:
        """Return the seconds before the retry. None: no retry."""
        delay = retry_delay(
            failure.kind,
            retries=len(failures),
            same_kind_retries=failures.count(failure.kind),
            max_retries=self.settings.max_retries,
            retry_after=failure.facts.retry_after,
            idempotent=idempotent,
        )
        return None if delay is None or delay >= call.remaining or self._connections.closed else delay

    def _final_error(
        self, failure: AttemptFailed, document: Document, call: Call, *, budget_exhausted: bool = False
    ) -> APIError | ClientClosedError:
        """Return the error that ends the call, with its cause set.

        If the response to a change was lost, it is OutcomeUnknownError, however a retry failed: the error of the retry
        says nothing about the earlier attempt. It is the cause.
        """
        if self._connections.closed:
            hint = f"; {_UNKNOWN}" if _may_have_been_applied(document, call) else ""
            closed = ClientClosedError(f"{document.name}: the client was closed during the call{hint}")
            closed.__cause__ = failure.__cause__
            return closed
        error = self._build_error(failure, document, call, budget_exhausted=budget_exhausted)
        if not call.response_lost or isinstance(error, PartialResultError):  # which has the data of the change
            return error
        unknown = OutcomeUnknownError(
            f"{_UNKNOWN}; last error: {error.args[0]}",
            **failure.facts._asdict(),
            operation=document.name,
            attempts=call.attempts,
            elapsed=call.elapsed,
            may_have_executed="unknown",
        )
        unknown.__cause__ = error
        return unknown

    def _build_error(
        self, failure: AttemptFailed, document: Document, call: Call, *, budget_exhausted: bool = False
    ) -> APIError:
        """Build the error for a failed attempt, with everything that is known about the call."""
        message = without_secrets(self.settings.masked(failure.message), call.variables)
        if issubclass(failure.error_class, APITimeoutError):
            message += f" (timeout: {self.settings.timeout:g} s with all retries)"
        elif issubclass(failure.error_class, AuthenticationError):
            message = f"{message.removesuffix('.')}; the API key comes from {self.settings.api_key_source}"
        if budget_exhausted:
            message += "; not retried: the retry budget of this client is exhausted"
        error = failure.error_class(
            message,
            **failure.facts._asdict(),
            operation=document.name,
            attempts=call.attempts,
            elapsed=call.elapsed,
        )
        if isinstance(error, PartialResultError):
            error.data = failure.data
        if _may_have_been_applied(document, call):
            error.may_have_executed = "yes" if isinstance(error, PartialResultError) else "unknown"
        error.__cause__ = failure.__cause__
        return error


def _seconds() -> float:
    """Return the time of the clock that goes on while the machine sleeps."""
    return monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


def _repeats_key(response: HTTPResponse, sent: dict[str, str]) -> bool:
    """Whether the server repeats the idempotency key: then it knows that it applied no earlier attempt with the key."""
    return response.headers.get(_IDEMPOTENCY_KEY) == sent.get(_IDEMPOTENCY_KEY, "")


def _may_have_been_applied(document: Document, call: Call) -> bool:
    """Whether the request is a change that the server may have applied, although the latest attempt failed."""
    return call.response_lost or (document.is_mutation and call.last_failure is FailureKind.DOUBTFUL)


def _log_retry(document: Document, failure: AttemptFailed, delay: float) -> None:
    # Without the message, in which the server may repeat what it was sent.
    name, status = failure.error_class.__name__, failure.facts.status
    _log.info("%s: retrying in %.2f s, after %s (HTTP status %s)", document.name, delay, name, status)
