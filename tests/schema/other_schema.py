"""The pinned schema with changes, executed by the resolvers of the local server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLSchema,
    build_client_schema,
    build_schema,
    get_named_type,
    get_nullable_type,
    introspection_from_schema,
    is_abstract_type,
    is_enum_type,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    is_scalar_type,
    print_schema,
)
from graphql.execution import default_field_resolver
from tools import TOP

from paperspace.gradient.deployments._status import FAILED_STATES
from paperspace.gradient.server.graphql import schema as server_schema
from paperspace.gradient.server.graphql.resolvers import CONNECTION_RESOLVERS, RESOLVERS

Field = tuple[str, str]
"""A field of a type."""

Value = Callable[[Any], Any]
"""Changes the value of a field to another one of its type."""


def _without_descriptions(text: str) -> str:
    introspection = introspection_from_schema(build_schema(text), descriptions=False)
    return print_schema(build_client_schema(introspection))


PINNED_TEXT = _without_descriptions((TOP / "graphql/schema.graphql").read_text(encoding="utf-8"))
PINNED = build_schema(PINNED_TEXT)


def executable(sdl: str, old_names: dict[str, str], changes: dict[Field, Value]) -> GraphQLSchema:
    """Build a schema that is executed as the pinned one, as far as its types allow it.

    A value that the type of its field does not allow is replaced by a sample of the type.
    """
    schema = build_schema(sdl)
    for name, type_ in schema.type_map.items():
        if is_abstract_type(type_):
            [first, *_] = schema.get_possible_types(type_)
            type_.resolve_type = lambda *_, name=first.name: name
        elif is_object_type(type_) and not name.startswith("__"):
            old_name = old_names.get(name, name)
            for field_name, field in type_.fields.items():
                default = CONNECTION_RESOLVERS.get(field_name) if old_name.endswith("Connection") else None
                resolver = RESOLVERS.get((old_name, field_name), default or default_field_resolver)
                old_type: Any = PINNED.type_map.get(old_name)
                old_field = old_type and old_type.fields.get(field_name)
                change = changes.get((name, field_name), lambda value: value)
                field.resolve = _resolver(resolver, field.type, old_field, change)
    for name, parse_value, serialize in (
        ("UUID", server_schema.parse_uuid, str),
        ("DateTime", server_schema.parse_time, server_schema._serialize_time),
    ):
        if is_scalar_type(schema.type_map.get(name)):
            server_schema._define_scalar(schema, name, parse=parse_value, serialize=serialize)
    return schema


def _resolver(resolver: Any, type_: Any, old_field: Any, change: Value) -> Any:
    def resolve(source: Any, info: Any, **arguments: Any) -> Any:
        if old_field:
            known = {name: value for name, value in arguments.items() if name in old_field.args}
            arguments = {name: _conform(value, old_field.args[name].type) for name, value in known.items()}
        value = change(resolver(source, info, **arguments))
        return value if _legal(value, type_) else _sample(type_)

    return resolve


def _conform(value: Any, old_type: Any) -> Any:
    """Convert an argument to its type in the pinned schema, for the resolvers."""
    old_type = get_nullable_type(old_type)
    if value is None:
        return None
    if is_list_type(old_type):
        return [_conform(item, old_type.of_type) for item in (value if isinstance(value, list) else [value])]
    if isinstance(value, list):
        return _conform(value[0], old_type) if value else None
    if is_input_object_type(old_type):
        return {
            name: _conform(entry, old_type.fields[name].type)
            for name, entry in value.items()
            if name in old_type.fields
        }
    return {"Int": int, "Float": float}.get(old_type.name, lambda same: same)(value)


def _legal(value: Any, type_: Any) -> bool:
    """Whether the type allows a value."""
    if value is None:
        return not is_non_null_type(type_)
    type_ = get_nullable_type(type_)
    if is_list_type(type_):
        return (
            isinstance(value, Sequence) and not isinstance(value, str) and all(_legal(v, type_.of_type) for v in value)
        )
    if not is_leaf_type(type_):
        return isinstance(value, Mapping | tuple)
    try:
        type_.coerce_output_value(value)
    except (GraphQLError, ValueError, TypeError):
        return False
    return True


def _sample(type_: Any) -> Any:
    type_ = get_nullable_type(type_)
    if is_list_type(type_):
        return [_sample(type_.of_type)]
    if is_enum_type(type_):
        return next(iter(type_.values))
    samples = {"Boolean": True, "Float": 1.5, "Int": 7, "String": "text", "ID": "text"}
    return samples.get(type_.name, {"unknown": "scalar"}) if is_leaf_type(type_) else {}


def changed_fields(schema: GraphQLSchema, old_names: dict[str, str]) -> Iterator[tuple[Field, list[Value]]]:
    """Yield the fields whose type has changed, each with the values that are not in the responses of the local server."""
    for name, type_ in schema.type_map.items():
        old_type: Any = PINNED.type_map.get(old_names.get(name, name))
        if not is_object_type(type_) or not is_object_type(old_type):
            continue
        for field_name, field in type_.fields.items():
            old_field = old_type.fields.get(field_name)
            if old_field and (str(field.type), _values_of(field.type)) != (
                str(old_field.type),
                _values_of(old_field.type),
            ):
                yield (name, field_name), list(_values(field.type, old_field.type))


def _values_of(type_: Any) -> set[str]:
    """Return the values of an enum."""
    leaf = get_named_type(type_)
    return set(leaf.values) if is_enum_type(leaf) else set()


def _values(type_: Any, old_type: Any) -> Iterator[Value]:
    """Yield the kinds of values that a type allows, and that the old one did not: null, values of an enum, scalars."""
    if is_non_null_type(old_type) and not is_non_null_type(type_):
        yield partial(_replaced, None)
    type_, old_type = get_nullable_type(type_), get_nullable_type(old_type)
    if is_list_type(type_):
        for value in _values(type_.of_type, old_type.of_type if is_list_type(old_type) else old_type):
            yield partial(_each_item, value)
    elif is_enum_type(type_):
        for name in _values_of(type_) - _values_of(old_type):
            yield partial(_replaced_unless_failed, name)
    elif is_leaf_type(type_) and type_.name != str(old_type) and type_.name not in {"Boolean", "ID", "Int", "String"}:
        yield partial(_replaced, _sample(type_))


def _replaced(value: Any, _natural: Any) -> Any:
    return value


def _replaced_unless_failed(value: Any, natural: Any) -> Any:
    return natural if natural in FAILED_STATES else value  # the calls that wait for a failure have to end


def _each_item(change: Value, items: Any) -> list[Any]:
    return [change(item) for item in items or [None]]
