"""Responses are validated with bounded work."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Hashable
from typing import Any, cast

import pytest
from pydantic import ValidationError

from paperspace.gradient import MalformedResponseError, _generated
from paperspace.gradient._core.failures import AttemptFailed
from paperspace.gradient._core.responses import HTTPResponse
from paperspace.gradient._core.validation import _envelope_validator, _validator, read_data
from paperspace.gradient._generated.deployments import DeploymentsResult
from paperspace.gradient._shared.operation import Operation

LAST_PAGE = {"hasNextPage": False, "endCursor": None}

OPERATIONS: list[Operation[Any, Any]] = [
    value
    for module in pkgutil.iter_modules(_generated.__path__)
    for value in vars(importlib.import_module(f"{_generated.__name__}.{module.name}")).values()
    if isinstance(value, Operation)
]


def response(nodes: list[Any], **more: Any) -> HTTPResponse:
    """Return a response to a list of deployments."""
    body = {"data": {"deployments": {"nodes": nodes, "pageInfo": LAST_PAGE}}, **more}
    return HTTPResponse(200, {}, json.dumps(body).encode())


@pytest.mark.parametrize("node", [0, {}, None, "x", {"id": 1}], ids=repr)
def test_the_first_wrong_item_ends_the_work(node: Any) -> None:
    """However many items of a list are wrong, pydantic reports those of the first one, and the error names it."""
    malformed = response([node] * 1000)
    with pytest.raises(ValidationError) as caught:
        _envelope_validator(DeploymentsResult)(malformed.body)
    assert {error["loc"][:4] for error in caught.value.errors()} == {("data", "deployments", "nodes", 0)}
    with pytest.raises(AttemptFailed) as failed:
        read_data(malformed, DeploymentsResult)
    assert failed.value.error_class is MalformedResponseError
    assert "deployments.nodes.0" in failed.value.message


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_list_of_every_operation_is_limited(operation: Operation[Any, Any]) -> None:
    """No list in the response of any operation is validated beyond its first wrong item."""
    text = repr(_validator(cast("Hashable", operation.result)))
    assert text.count("ListValidator") == text.count("fail_fast: true")


@pytest.mark.parametrize("errors", [[{"message": "It failed."}], "It failed.", [{}]], ids=repr)
def test_errors_count_more_than_wrong_data(errors: Any) -> None:
    """A response with errors is not reported as one with wrong data."""
    with pytest.raises(AttemptFailed) as failed:
        read_data(response([0], errors=errors), DeploymentsResult)
    assert "does not match the schema" not in failed.value.message
