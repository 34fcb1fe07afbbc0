"""Validate responses: pydantic checks that the data has the shape that a function promises, a TypedDict."""

from __future__ import annotations

from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import SchemaValidator
from typing_extensions import (  # noqa: UP035  # below Python 3.12, pydantic refuses those of typing
    NotRequired,
    TypedDict,
    is_typeddict,
)

from paperspace.gradient._core.failures import AttemptFailed, ResponseFacts
from paperspace.gradient._core.responses import HTTPResponse, data_of, parse_result
from paperspace.gradient._core.retry import FailureKind
from paperspace.gradient._shared.problems import hide, hide_unless_plain, shorten
from paperspace.gradient._shared.secrets import SECRET_FIELDS
from paperspace.gradient.errors import InvalidArgumentError, MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from pydantic_core import ErrorDetails

R = TypeVar("R")

_OK = 200

# What the parts of a shape get in addition: no work after the first wrong item of a list, and no NaN, which JSON lacks.
_LIMITS: dict[str, dict[str, object]] = {"list": {"fail_fast": True}, "float": {"allow_inf_nan": False}}

# The number is limited, as a user may define a new shape for each call.
_adapter = lru_cache(256)(TypeAdapter[Any])


class _Envelope(TypedDict, Generic[R]):
    """The body of a response without errors."""

    data: R
    errors: NotRequired[list[Any] | None]


class _ErrorsOnly(TypedDict):
    """The errors of a response. Its data is skipped, and costs no Python objects."""

    errors: NotRequired[list[Any] | None]


def read_data(response: HTTPResponse, shape: type[R]) -> R:
    """Return the data of a response, validated. Fields that the shape does not have are dropped.

    Raises:
        AttemptFailed: The response has errors, is malformed, or its data does not have this shape.
    """
    if response.status == _OK:
        # Parsing and validating in one pass takes half the time, and little memory if the data is wrong.
        try:
            envelope = _envelope_validator(cast("Hashable", shape))(response.body)
        except ValidationError as error:
            first = _first_error(error)
            if len(first["loc"]) > 1 and first["loc"][0] == "data" and not _has_errors(response.body):
                raise _mismatch(first["loc"][1:], first, response.facts()) from None
        else:
            if not envelope.get("errors"):
                return cast("R", envelope["data"])
    return validate(shape, data_of(parse_result(response), response, valid=True), response.facts())


def require_shape(shape: object) -> None:
    """Make sure that a shape of the user can be validated.

    Raises:
        InvalidArgumentError: It is not a TypedDict, or uses an undefined type.
    """
    if not is_typeddict(shape):
        raise InvalidArgumentError(f"result: expected a TypedDict, got {shorten(repr(shape))}")
    try:
        if not _adapter(shape).pydantic_complete:
            raise InvalidArgumentError(f"result: {shorten(repr(shape))} uses a type that is not defined")
    except PydanticUserError as error:  # such as a TypedDict of typing, below Python 3.12
        raise InvalidArgumentError(f"result: {shorten(repr(shape))} cannot be validated: {error}") from None


def validate(shape: type[R], data: object, facts: ResponseFacts = ResponseFacts()) -> R:  # noqa: B008  # immutable
    """Return the data in this shape. Fields that the shape does not have are dropped.

    Raises:
        AttemptFailed: The data does not have this shape; the message names the first wrong field.
    """
    try:
        return cast("R", _validator(cast("Hashable", shape)).validate_python(data, strict=True))
    except ValidationError as error:
        first = _first_error(error)
        raise _mismatch(first["loc"], first, facts) from None


def _first_error(error: ValidationError) -> ErrorDetails:
    return error.errors(include_url=False, include_context=False)[0]


def _mismatch(path: tuple[int | str, ...], error: ErrorDetails, facts: ResponseFacts) -> AttemptFailed:
    """Return the failure for data that does not have its shape."""
    field = ".".join(str(step) for step in path)
    secret = not SECRET_FIELDS.isdisjoint(path)
    got = hide(error["input"]) if secret else hide_unless_plain(error["input"])
    message = f"the response does not match the schema: {field}: {error['msg']}, got {got!r}"
    return AttemptFailed(MalformedResponseError, message, FailureKind.BROKEN, facts)


def _has_errors(body: bytes) -> bool:
    """Whether a response has errors, or something else in their place."""
    try:
        return bool(_validator(cast("Hashable", _ErrorsOnly)).validate_json(body).get("errors"))
    except ValidationError:
        return True


@lru_cache(256)
def _validator(shape: Hashable) -> SchemaValidator:
    """Return the validator of a shape, whose work is limited."""
    return SchemaValidator(_limited(_adapter(shape).core_schema))


@cache
def _envelope_validator(shape: Hashable) -> Callable[[bytes], dict[str, Any]]:
    validator = _validator(cast("Any", _Envelope)[shape])
    return partial(validator.validate_json, strict=True)


def _limited(schema: Any) -> Any:
    """Return a copy of a schema of pydantic with the limits."""
    if isinstance(schema, list):
        return [_limited(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    limits = _LIMITS.get(kind, {}) if isinstance(kind, str) else {}
    return {key: _limited(part) for key, part in schema.items()} | limits
