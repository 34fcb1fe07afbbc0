"""The executable schema: the schema file with its scalars and resolvers."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, cast

from graphql import (
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    ValueNode,
    build_schema,
    value_from_ast_untyped,
)

from paperspace.gradient._shared.graphql_files import graphql_folder, package_loader
from paperspace.gradient._shared.ids import is_uuid
from paperspace.gradient.server.clock import iso
from paperspace.gradient.server.graphql.resolvers import CONNECTION_RESOLVERS, RESOLVERS


@cache
def executable_schema() -> GraphQLSchema:
    """Build the schema that the server executes. A field without a resolver reads the parent's item of its name."""
    schema = build_schema(package_loader.get_data(str(graphql_folder() / "schema.graphql")).decode())
    for (type_name, field), resolver in RESOLVERS.items():
        _object_type(schema, type_name).fields[field].resolve = resolver
    for type_name in schema.type_map:
        if type_name.endswith("Connection"):
            for field, resolver in CONNECTION_RESOLVERS.items():
                _object_type(schema, type_name).fields[field].resolve = resolver
    _define_scalar(schema, "UUID", parse=parse_uuid, serialize=str)
    _define_scalar(schema, "DateTime", parse=parse_time, serialize=_serialize_time)
    return schema


def parse_uuid(value: object) -> str:
    """Parse an id and return it in lower case, as it is stored.

    Raises:
        ValueError: this is not a UUID.
    """
    if not is_uuid(value):
        raise ValueError("expected a UUID in its 36-character form")
    return value.lower()


def parse_time(value: object) -> datetime:
    """Parse a date and time.

    Raises:
        ValueError: this is not a date and time, or it has no time zone.
    """
    time = datetime.fromisoformat(str(value))
    if time.tzinfo is None:
        raise ValueError("expected a time zone")
    return time


def _serialize_time(value: datetime | str) -> str:
    return iso(value) if isinstance(value, datetime) else value  # stored times are in ISO form already


def _define_scalar(schema: GraphQLSchema, name: str, *, parse: Any, serialize: Any) -> None:
    def parse_literal(node: ValueNode) -> Any:
        return parse(value_from_ast_untyped(node))

    scalar = cast("GraphQLScalarType", schema.type_map[name])
    scalar.coerce_output_value = serialize
    scalar.coerce_input_value = parse
    scalar.coerce_input_literal = parse_literal


def _object_type(schema: GraphQLSchema, name: str) -> GraphQLObjectType:
    return cast("GraphQLObjectType", schema.type_map[name])
