"""Check the types of the variables of a request.

graphql-core checks them too, but its messages contain the values, secrets included, and its errors have no path. These
checks report every problem with its path, in the same form as the rules of a spec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
    type_from_ast,
)
from graphql.pyutils import did_you_mean, suggestion_list

from paperspace.gradient._shared.problems import Path, Problem, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SCALARS = {
    "Boolean": "true or false",
    "DateTime": "a date and time in ISO 8601 format, with a time zone",
    "Float": "a number",
    "Int": "a 32-bit integer",
    "String": "a string",
    "UUID": "a UUID in its 36-character form",
}


def variable_problems(
    schema: GraphQLSchema, operation: OperationDefinitionNode, variables: Mapping[str, Any]
) -> Iterator[Problem]:
    """Check the types of the variables of a valid operation."""
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        type_ = type_from_ast(schema, definition.type)
        if name in variables or (is_non_null_type(type_) and definition.default_value is None):
            yield from _problems(variables.get(name), type_, (name,))


def _problems(value: Any, type_: Any, path: Path) -> Iterator[Problem]:
    nullable: Any = get_nullable_type(type_)
    if value is None:
        if is_non_null_type(type_):
            yield Problem(path, None, _expected(nullable), kind="missing")
    elif is_list_type(nullable):
        # GraphQL accepts a single value in place of a list.
        items: list[Any] = value if isinstance(value, list) else [value]
        for index, item in enumerate(items):
            yield from _problems(item, nullable.of_type, (*path, index))
    elif isinstance(nullable, GraphQLInputObjectType):
        yield from _object_problems(value, nullable, path)
    elif not _accepts(nullable, value):
        yield Problem(path, None, _expected(nullable))


def _object_problems(value: Any, type_: GraphQLInputObjectType, path: Path) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(path, None, _expected(type_))
        return
    fields = cast("dict[str, Any]", value)
    for name in sorted(fields.keys() - type_.fields.keys()):
        hint = did_you_mean(suggestion_list(name, list(type_.fields))).strip()
        yield Problem((*path, shorten(name)), None, f"a field of {type_.name}", hint or None, "unknown_field")
    for name, field in type_.fields.items():
        if name in fields or is_required_input_field(field):
            yield from _problems(fields.get(name), field.type, (*path, name))


def _accepts(type_: Any, value: Any) -> bool:
    try:
        type_.coerce_input_value(value)
    except Exception:  # noqa: BLE001 - a scalar may raise anything to reject a value
        return False
    return True


def _expected(type_: Any) -> str:
    if isinstance(type_, GraphQLEnumType):
        return f"one of {', '.join(type_.values)}"
    if isinstance(type_, GraphQLScalarType):
        return _SCALARS[type_.name]
    return "a list" if is_list_type(type_) else "an object"
