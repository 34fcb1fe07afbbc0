"""Makes a document of an operation that a user wrote, and holds it to the schema before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    Source,
    build_schema,
    parse,
    validate,
)
from graphql.execution import get_variable_values

from paperspace.gradient._core.documents import Document, read_with_fragments
from paperspace.gradient._shared.graphql_files import graphql_folder
from paperspace.gradient.errors import InvalidArgumentError


@cache
def pinned_schema() -> GraphQLSchema:
    """The checked-in schema."""
    path = graphql_folder() / "schema.graphql"
    return build_schema(Source(path.read_text(encoding="utf-8"), str(path)))


def own_document(document: str | Path, *, check: bool) -> Document:
    """The document in a file or a text.

    Args:
        document: The path of a `.graphql` file, which may spread fragments of files beside it; or the text itself.
        check: Whether it has to be valid against the checked-in schema.

    Raises:
        InvalidArgumentError: It cannot be read, or is not valid; the message says where and why.
    """
    if not isinstance(document, str | Path):
        kind = type(document).__name__
        raise InvalidArgumentError(f"the path of a .graphql file or the text of an operation expected, {kind} given")
    try:
        node = _read(document)
    except OSError as error:
        raise InvalidArgumentError(f"{error.filename} cannot be read: {error.strerror}") from error
    except GraphQLError as error:
        hint = "; to run a file, give its pathlib.Path" if str(document).endswith(".graphql") else ""
        raise InvalidArgumentError(place(error) + hint) from error
    except ValueError as error:  # no UTF-8, or no path
        raise InvalidArgumentError(f"{document!s:.80} cannot be read: {error}") from error
    operations = [part for part in node.definitions if isinstance(part, OperationDefinitionNode)]
    if len(operations) != 1 or operations[0].name is None:
        raise InvalidArgumentError("the document has to hold one operation, and that with a name")
    errors = validate(pinned_schema(), node) if check else []
    if errors:
        raise InvalidArgumentError("the operation is not valid: " + "; ".join(place(error) for error in errors))
    return Document.from_node(node)


def check_variables(document: Document, variables: object) -> dict[str, object]:
    """The variables, where they fit the operation, which is valid.

    Raises:
        InvalidArgumentError: One is missing, unknown or of the wrong type; says which.
    """
    given = require_variables(variables)
    [operation] = [part for part in document.node.definitions if isinstance(part, OperationDefinitionNode)]
    definitions = operation.variable_definitions or ()
    known = {definition.variable.name.value for definition in definitions}
    if unknown := sorted(set(given) - known):
        raise InvalidArgumentError(f"{document.name} has no variable ${unknown[0]}; it has {sorted(known)}")
    values = get_variable_values(pinned_schema(), definitions, given, max_errors=1)
    if isinstance(values, list):
        raise InvalidArgumentError(f"{document.name}: {values[0].message}")
    return given


def require_variables(variables: object) -> dict[str, object]:
    """The variables as a dict.

    Raises:
        InvalidArgumentError: They are none.
    """
    if not isinstance(variables, Mapping) or not all(isinstance(name, str) for name in variables):
        raise InvalidArgumentError(f"variables: a dict by name expected, {type(variables).__name__} given")
    return dict(variables)


def place(error: GraphQLError) -> str:
    """`FILE:LINE:COLUMN: reason`, as editors understand it."""
    if not error.source or not error.locations:
        return error.message
    line, column = error.locations[0]
    return f"{error.source.name}:{line}:{column}: {error.message}"


def _read(document: str | Path) -> DocumentNode:
    if isinstance(document, Path):
        return read_with_fragments(document)
    return parse(Source(document, "the document"))
