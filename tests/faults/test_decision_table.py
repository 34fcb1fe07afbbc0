"""The table of HTTP status and body in docs/errors.md: each row is run."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.faults.harness import CALLS, CANARY
from tests.faults.server import Exchange, FaultServer, Received, good_data
from tools import TOP

from paperspace.gradient import Client, GradientError, errors
from paperspace.gradient._core import retry as _retry
from paperspace.gradient._core.responses import _BY_STATUS

PAGE = TOP / "docs/errors.md"
HTML = b"<!doctype html><title>No</title>"


def rows() -> list[list[str]]:
    """Return the cells of the last table of the page, without its header."""
    section = PAGE.read_text(encoding="utf-8").partition("## HTTP status and body")[2]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def body(description: str, request: Received) -> Any:
    """Return the body that a row describes."""
    data = good_data(request)
    bodies = {
        "data": {"data": data},
        "data and errors": {"data": data, "errors": [{"message": "half"}]},
        "empty": b"",
        "HTML": HTML,
        "neither data nor errors": {},
        "data of another shape": {"data": dict.fromkeys(data, 5)},
        "any other code": {"errors": [{"message": "No.", "extensions": {"code": "OTHER"}}]},
        "retryable": {"errors": [{"message": "No.", "extensions": {"retryable": True}}]},
    }
    if code := re.fullmatch("code `([A-Z_]+)`", description):
        return {"errors": [{"message": "No.", "extensions": {"code": code[1]}}]}
    return bodies[description]


def may_have_executed(error: str, status: int, description: str) -> str:
    """Return the `may_have_executed` of a change that raises an error, as the list below the table says."""
    match error:
        case "PartialResultError":
            return "yes"
        case "OutcomeUnknownError":
            return "unknown"
        case "ServerError":
            return "no" if description in {"retryable", "code `INSUFFICIENT_STORAGE`"} else "unknown"
        case "APIStatusError":
            return "no" if status < 500 else "unknown"
        case _:
            return "no"


@pytest.mark.parametrize("row", rows(), ids=" ".join)
def test_row(row: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The client does what the row states, for a read and for a change."""
    monkeypatch.setattr(_retry, "FIRST_BACKOFF", 0.001)
    status, description, *expected = row

    async def answer(exchange: Exchange) -> None:
        await exchange.respond(int(status), body(description, exchange.request))

    outcomes = []
    failed: dict[str, Any] = {}
    for operation in ("get", "update"):
        with FaultServer(then=answer) as server, Client(CANARY, server.url) as client:
            try:
                CALLS[operation](client.deployments)
            except GradientError as raised:
                outcomes.append(f"`{type(raised).__name__}`")
                failed[operation] = raised
            else:
                outcomes.append("success")
            # A page that is too much for the server is requested again as a smaller one.
            outcomes.append(str(server.last_attempts))
    assert outcomes == expected
    if error := failed.get("update"):
        assert error.may_have_executed == may_have_executed(type(error).__name__, int(status), description)


def test_rows_are_complete() -> None:
    """The table has every error that a response can end in, and each status with its own treatment."""
    named = {cell.strip("`") for row in rows() for cell in (row[2], row[4])}
    api_errors = {name for name in errors.__all__ if issubclass(getattr(errors, name), errors.APIError)}
    without_response = {"APIError", "APIConnectionError", "TLSError", "APITimeoutError", "ResponseTooLargeError"}
    assert named - {"success"} == api_errors - without_response - {"PaginationError"}
    assert {int(row[0]) for row in rows()} >= set(_BY_STATUS)
