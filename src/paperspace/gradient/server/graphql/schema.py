"""The executable schema: the checked-in file, with what its scalars and fields mean."""

from __future__ import annotations

import re
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

from paperspace.gradient._shared.graphql_files import graphql_folder
from paperspace.gradient.server.clock import iso
from paperspace.gradient.server.graphql.resolvers import CONNECTION_RESOLVERS, RESOLVERS

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


@cache
def executable_schema() -> GraphQLSchema:
    """The schema that the server executes. A field without a resolver is the item of its name in the parent."""
    schema = build_schema((graphql_folder() / "schema.graphql").read_text(encoding="utf-8"))
    for (type_name, field), resolver in RESOLVERS.items():
        _object_type(schema, type_name).fields[field].resolve = resolver
    for type_name in schema.type_map:
        if type_name.endswith("Connection"):
            for field, resolver in CONNECTION_RESOLVERS.items():
                _object_type(schema, type_name).fields[field].resolve = resolver
    _define_scalar(schema, "UUID", parse=parse_uuid, serialize=str)
    _define_scalar(schema, "DateTime", parse=parse_moment, serialize=_serialize_moment)
    return schema


def parse_uuid(value: object) -> str:
    """The id in the one form in which it is stored.

    Raises:
        ValueError: It is no UUID.
    """
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise ValueError("a UUID in its 36-character form expected")
    return value.lower()


def parse_moment(value: object) -> datetime:
    """The moment.

    Raises:
        ValueError: It is no moment, or has no time zone.
    """
    moment = datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        raise ValueError("a time zone expected")
    return moment


def _serialize_moment(value: datetime | str) -> str:
    return iso(value) if isinstance(value, datetime) else value  # moments are stored in this very form


def _define_scalar(schema: GraphQLSchema, name: str, *, parse: Any, serialize: Any) -> None:
    def parse_literal(node: ValueNode) -> Any:
        return parse(value_from_ast_untyped(node))

    scalar = cast("GraphQLScalarType", schema.type_map[name])
    scalar.coerce_output_value = serialize
    scalar.coerce_input_value = parse
    scalar.coerce_input_literal = parse_literal


def _object_type(schema: GraphQLSchema, name: str) -> GraphQLObjectType:
    return cast("GraphQLObjectType", schema.type_map[name])
