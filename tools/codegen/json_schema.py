"""The JSON Schema of a deployment spec, for editors, from the GraphQL schema."""

from __future__ import annotations

import json
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    is_required_input_field,
)

ROOT = "DeploymentSpecDataInput"
SCALARS = {"String": "string", "Int": "integer", "Float": "number", "Boolean": "boolean", "ID": "string"}

# What the rules of a spec demand, though the types do not.
NEEDED = {ROOT: ["image"]}


def json_schema(schema: GraphQLSchema) -> str:
    """The text of the JSON Schema."""
    shapes: dict[str, Any] = {}
    _shape(schema.type_map[ROOT], shapes)
    root = shapes.pop(ROOT)
    dialect = "https://json-schema.org/draft/2020-12/schema"
    whole = {"$schema": dialect, "title": "A Gradient deployment spec", **root, "$defs": dict(sorted(shapes.items()))}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _shape(kind: object, shapes: dict[str, Any]) -> None:
    """Adds the shape of an input object, and those of the ones in it."""
    if not isinstance(kind, GraphQLInputObjectType) or kind.name in shapes:
        return
    shapes[kind.name] = {}
    required = [name for name, entry in kind.fields.items() if is_required_input_field(entry)]
    shapes[kind.name] = {
        "description": kind.description,
        "type": "object",
        "properties": {
            name: {"description": entry.description, **_annotation(entry.type, shapes)}
            for name, entry in kind.fields.items()
        },
        "required": required + NEEDED.get(kind.name, []),
        "additionalProperties": False,
    }


def _annotation(kind: GraphQLInputType, shapes: dict[str, Any], *, nullable: bool = True) -> dict[str, Any]:
    if isinstance(kind, GraphQLNonNull):
        return _annotation(kind.of_type, shapes, nullable=False)
    if isinstance(kind, GraphQLList):
        found: dict[str, Any] = {"type": "array", "items": _annotation(kind.of_type, shapes)}
    elif isinstance(kind, GraphQLEnumType):
        found = {"enum": list(kind.values)}
    elif isinstance(kind, GraphQLInputObjectType):
        _shape(kind, shapes)
        found = {"$ref": f"#/$defs/{kind.name}"}
    else:
        found = {"type": SCALARS.get(kind.name, "string")}
    return {"anyOf": [found, {"type": "null"}]} if nullable else found
