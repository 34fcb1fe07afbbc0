"""Validate responses: pydantic checks that the data has the shape that a function promises, a TypedDict."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from typing_extensions import (  # noqa: UP035  # below Python 3.12, pydantic refuses those of typing
    NotRequired,
    TypedDict,
    is_typeddict,
)

from paperspace.gradient._core.failures import AttemptFailed, ResponseFacts
from paperspace.gradient._core.responses import HTTPResponse, data_of, parse_result
from paperspace.gradient._core.retry import FailureKind
from paperspace.gradient._shared.problems import shorten
from paperspace.gradient.errors import InvalidArgumentError, MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

R = TypeVar("R")

_OK = 200

# One validator for each shape. The number is limited, as a user may define a new shape for each call.
_adapter = lru_cache(256)(TypeAdapter[Any])


class _Envelope(TypedDict, Generic[R]):
    """The body of a response without errors."""

    data: R
    errors: NotRequired[list[Any] | None]


def read_data(response: HTTPResponse, shape: type[R]) -> R:
    """Return the data of a response, validated. Fields that the shape does not have are dropped.

    Raises:
        AttemptFailed: The response has errors, is malformed, or its data does not have this shape.
    """
    if response.status == _OK:
        # Parsing and validating in one pass takes half the time. Only the slow way can tell what is wrong.
        try:
            envelope = _envelope_validator(cast("Hashable", shape))(response.body, strict=True)
        except ValidationError:
            pass
        else:
            if not envelope.get("errors"):
                return cast("R", envelope["data"])
    return validate(shape, data_of(parse_result(response), response), response.facts())


def require_shape(shape: object) -> None:
    """Make sure that a shape of the user can be validated.

    Raises:
        InvalidArgumentError: It is not a TypedDict, or names an undefined type.
    """
    expected = "result: expected a TypedDict (of typing_extensions, below Python 3.12)"
    if not is_typeddict(shape):
        raise InvalidArgumentError(f"{expected}, got {shorten(repr(shape))}")
    try:
        if not _adapter(shape).pydantic_complete:
            raise InvalidArgumentError(f"{expected}; {shorten(repr(shape))} names an undefined type")
    except PydanticUserError as error:
        raise InvalidArgumentError(f"{expected}: {error}") from None


def validate(shape: type[R], data: object, facts: ResponseFacts = ResponseFacts()) -> R:  # noqa: B008  # immutable
    """Return the data in this shape. Fields that the shape does not have are dropped.

    Raises:
        AttemptFailed: The data does not have this shape; the message names the first wrong field.
    """
    try:
        return cast("R", _adapter(cast("Hashable", shape)).validate_python(data, strict=True))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        path = ".".join(str(step) for step in first["loc"])
        message = f"the response does not match the schema: {path}: {first['msg']}, got {shorten(repr(first['input']))}"
        raise AttemptFailed(MalformedResponseError, message, FailureKind.BROKEN, facts) from None


@cache
def _envelope_validator(shape: Hashable) -> Callable[..., dict[str, Any]]:
    return TypeAdapter[_Envelope[dict[str, Any]]](cast("Any", _Envelope)[shape]).validator.validate_json
