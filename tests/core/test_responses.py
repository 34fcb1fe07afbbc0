"""What a response with GraphQL errors becomes: see the decision table in tests/faults for the classes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.faults.behaviours import response
from tests.faults.server import FaultServer

from paperspace.gradient import Client, PartialResultError, RedirectError, ServerError


def run(body: Any, status: int = 200) -> None:
    """Run an operation with this response."""
    with FaultServer(then=response(status, body)) as server, Client("a-key", server.url, max_retries=0) as client:
        client.execute("query Q { deployments { nodes { id } } }")


def test_message_has_the_first_errors() -> None:
    """The message has the first five errors of the response, complete, and no more."""
    messages = [f"message {number}" for number in range(6)]
    with pytest.raises(ServerError) as caught:
        run({"errors": [{"message": message} for message in messages]})
    assert "; ".join(messages[:5]) in str(caught.value)
    assert messages[5] not in str(caught.value)


@pytest.mark.parametrize(("length", "complete"), [(2000, True), (2001, False)])
def test_long_messages(length: int, complete: bool) -> None:
    """A message of up to 2,000 characters is kept complete; a longer one is cut."""
    message = "x" * length
    with pytest.raises(ServerError) as caught:
        run({"errors": [{"message": message}]})
    assert (message in str(caught.value)) is complete


def test_data_beside_null() -> None:
    """One field with data makes the result a partial one, although others are null."""
    data: dict[str, Any] = {"a": None, "deployments": {"nodes": []}}
    with pytest.raises(PartialResultError) as caught:
        run({"data": data, "errors": [{"message": "half"}]})
    assert caught.value.data == data


@pytest.mark.parametrize("status", [300, 304, 399])
def test_every_redirect(status: int) -> None:
    """Every status from 300 to 399 is a redirect, which is not followed."""
    with pytest.raises(RedirectError):
        run(b"", status)
