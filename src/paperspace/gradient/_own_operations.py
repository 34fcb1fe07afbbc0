"""Makes a document of an operation that a user wrote, and holds it to the schema before it is sent."""

from __future__ import annotations

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

from paperspace.gradient._base.files import graphql_folder
from paperspace.gradient._documents import Document, read_with_fragments
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
    try:
        node = _read(document)
    except OSError as error:
        raise InvalidArgumentError(f"{error.filename} cannot be read: {error.strerror}") from error
    except GraphQLError as error:
        raise InvalidArgumentError(place(error)) from error
    operations = [part for part in node.definitions if isinstance(part, OperationDefinitionNode)]
    if len(operations) != 1 or operations[0].name is None:
        raise InvalidArgumentError("the document has to hold one operation, and that with a name")
    errors = validate(pinned_schema(), node) if check else []
    if errors:
        raise InvalidArgumentError("the operation is not valid: " + "; ".join(place(error) for error in errors))
    return Document.from_node(node)


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
