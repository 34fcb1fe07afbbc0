"""An operation: the name of a checked-in file, with the types of its variables and its result."""

from __future__ import annotations

from typing import Generic, TypeVar

V = TypeVar("V")
R_co = TypeVar("R_co", covariant=True)


class Operation(Generic[V, R_co]):
    """An operation in `graphql/operations/`.

    Attributes:
        name: The name of the operation and, with `.graphql` behind it, of its file.
        variables: The TypedDict that describes its variables.
        result: The TypedDict that describes the `data` of its response.
    """

    __slots__ = ("name", "result", "variables")

    def __init__(self, name: str, variables: type[V], result: type[R_co]) -> None:
        self.name = name
        self.variables = variables
        self.result = result

    def __repr__(self) -> str:
        return f"Operation({self.name!r})"
