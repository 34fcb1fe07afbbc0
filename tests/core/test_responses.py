"""What a response with GraphQL errors becomes: see the decision table in tests/faults for the classes."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import build_schema, parse, validate
from tests.faults.behaviours import response
from tests.faults.server import FaultServer

from paperspace.gradient import BadRequestError, Client, PartialResultError, RedirectError, ServerError


def run(body: Any, status: int = 200, *, check: bool = True) -> None:
    """Run an operation with this response."""
    with FaultServer(then=response(status, body)) as server, Client("a-key", server.url, max_retries=0) as client:
        client.execute("query Q { deployments { nodes { id } } }", check=check)


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


@pytest.mark.parametrize(
    "query",
    [
        "{ nothing }",
        "{ list(first: 1, last: 2) { id } }",
        "query ($id: UUID!) { list(first: $id) { id } }",
        "query ($first: Float!) { list(first: $first) { id } }",
        "{ list { id } }",
        "{ list(first: 1) }",
        "{ list(first: 1) { id { name } } }",
        "fragment F on Other { id } { list(first: 1) { ...F } }",
    ],
)
def test_server_with_another_schema(query: str) -> None:
    """If a server does not know what a valid operation uses, the error names the command that compares the schemas."""
    other = build_schema(
        "type Query { list(first: Int!): [Item!] other: Other } type Item { id: ID } type Other { id: ID }"
    )
    [message] = [error.message for error in validate(other, parse(query))]
    errors = [{"message": message, "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}]
    with pytest.raises(BadRequestError) as caught:
        run({"errors": errors})
    hint = "; to compare the server's schema with that of the library, run `gradient schema diff`"
    assert f"{message.removesuffix('.')}{hint}" in str(caught.value)
    with pytest.raises(BadRequestError) as unchecked:
        run({"errors": errors}, check=False)
    assert hint not in str(unchecked.value)


def test_other_rejections() -> None:
    """An error about a value, or about a limit of the server, does not name that command."""
    for message in ("input.name: expected 1 to 255 characters", "the document has more than 10 aliases"):
        with pytest.raises(BadRequestError) as caught:
            run({"errors": [{"message": message, "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}]})
        assert "schema diff" not in str(caught.value)


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
