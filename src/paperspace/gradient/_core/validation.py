"""Holds what the server answers to the shapes that the functions promise: pydantic, over TypedDicts."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from typing_extensions import NotRequired, TypedDict, is_typeddict  # noqa: UP035  # those of typing are not for pydantic, below 3.12

from paperspace.gradient._core.failures import AttemptFailed
from paperspace.gradient._core.responses import Reply, read_reply
from paperspace.gradient._core.retry import FailureKind
from paperspace.gradient._shared.problems import shorten
from paperspace.gradient.errors import InvalidArgumentError, MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

R = TypeVar("R")

_OK = 200

# The checker of a shape, made when it is first needed. Not kept for ever: a user may make a shape for each call.
_adapter = lru_cache(256)(TypeAdapter[Any])


class _Answer(TypedDict, Generic[R]):
    """An answer as it is when all went well."""

    data: R
    errors: NotRequired[list[Any] | None]


@cache
def reader(shape: Hashable) -> Callable[[int, Mapping[str, str], bytes], Reply]:
    """Reads answers whose data are to have this shape.

    An answer that is all right is parsed and checked in one go, which takes half the time. Any other is read by
    `read_reply`, which knows what to say about it.
    """
    validate = TypeAdapter[_Answer[dict[str, Any]]](cast("Any", _Answer)[shape]).validator.validate_json

    def read(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
        if status == _OK:
            try:
                found = validate(body, strict=True)
            except ValidationError:
                return read_reply(status, headers, body)
            if not found.get("errors"):
                return Reply(found["data"], None, status, headers, shape=shape)
        return read_reply(status, headers, body)

    return read


def require_shape(shape: object) -> None:
    """Makes the checker of a user's own shape.

    Raises:
        InvalidArgumentError: There is none for it.
    """
    expected = "result: a TypedDict expected (that of typing_extensions, below Python 3.12)"
    if not is_typeddict(shape):
        raise InvalidArgumentError(f"{expected}, {shorten(repr(shape))} given")
    try:
        if not _adapter(shape).pydantic_complete:
            raise InvalidArgumentError(f"{expected}; {shorten(repr(shape))} names a type that is not defined")
    except PydanticUserError as error:
        raise InvalidArgumentError(f"{expected}: {error}") from None


def check_shape(shape: type[R], data: object) -> R:
    """The data as the shape has them: keys that it does not know are left out.

    Raises:
        AttemptFailed: They do not fit; the message names the first place.
    """
    try:
        return cast("R", _adapter(cast("Hashable", shape)).validate_python(data, strict=True))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        given = shorten(repr(first["input"]))
        message = f"the answer is not what the API promises: {place}: {first['msg']}, but there is {given}"
        raise AttemptFailed(MalformedResponseError(message), FailureKind.BROKEN) from None
