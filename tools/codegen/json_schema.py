"""Make the JSON Schema of a deployment spec, for editors, from the GraphQL schema."""

from __future__ import annotations

import json
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    is_required_input_field,
)

from tools.codegen.module_text import GenerationError

ROOT = "DeploymentSpecDataInput"
SCALARS = {"String": "string", "Int": "integer", "Float": "number", "Boolean": "boolean", "ID": "string"}

# Fields that a spec must have, although they are nullable in the GraphQL schema.
REQUIRED = {ROOT: ["image"]}

# Fields of a spec file that are no part of the spec.
FILE_FIELDS = {
    "$schema": {"description": "The JSON Schema of the file. Ignored.", "type": "string"},
    "name": {"description": "The name of the deployment.", "type": "string"},
    "projectId": {"description": "The id of the project.", "type": "string"},
}

# Keys that are ignored in every object of a file.
EXTENSIONS: dict[str, Any] = {"^x-": {}}


def json_schema(schema: GraphQLSchema) -> str:
    """Return the text of the JSON Schema.

    Raises:
        GenerationError: The schema does not have the input type of a spec.
    """
    definitions: dict[str, Any] = {}
    _define(schema.type_map.get(ROOT), definitions)
    if not definitions:
        message = f"no input type {ROOT}, from which the JSON Schema of a spec is generated; if it has another name, change ROOT"
        raise GenerationError(f"graphql/schema.graphql: {message} in tools/codegen/json_schema.py")
    root = definitions.pop(ROOT)
    root["properties"] |= FILE_FIELDS
    dialect = "https://json-schema.org/draft/2020-12/schema"
    whole = {
        "$schema": dialect,
        "title": "A Gradient deployment spec",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _define(type_: object, definitions: dict[str, Any]) -> None:
    """Add the definition of an input object type, and those of its fields."""
    if not isinstance(type_, GraphQLInputObjectType) or type_.name in definitions:
        return
    definitions[type_.name] = {}
    required = [name for name, entry in type_.fields.items() if is_required_input_field(entry)]
    also_required = [name for name in REQUIRED.get(type_.name, []) if name in type_.fields and name not in required]
    definitions[type_.name] = {
        **_description(type_),
        "type": "object",
        "properties": {
            name: {**_description(entry), **_annotation(entry.type, definitions)}
            for name, entry in type_.fields.items()
        },
        "patternProperties": EXTENSIONS,
        "required": required + also_required,
        "additionalProperties": False,
    }


def _description(part: GraphQLInputObjectType | GraphQLInputField) -> dict[str, str]:
    return {"description": part.description} if part.description else {}


def _annotation(type_: GraphQLInputType, definitions: dict[str, Any], *, nullable: bool = True) -> dict[str, Any]:
    if isinstance(type_, GraphQLNonNull):
        return _annotation(type_.of_type, definitions, nullable=False)
    if isinstance(type_, GraphQLList):
        annotation: dict[str, Any] = {"type": "array", "items": _annotation(type_.of_type, definitions)}
    elif isinstance(type_, GraphQLEnumType):
        annotation = {"enum": list(type_.values)}
    elif isinstance(type_, GraphQLInputObjectType):
        _define(type_, definitions)
        annotation = {"$ref": f"#/$defs/{type_.name}"}
    else:
        annotation = {"type": SCALARS.get(type_.name, "string")}
    return {"anyOf": [annotation, {"type": "null"}]} if nullable else annotation
