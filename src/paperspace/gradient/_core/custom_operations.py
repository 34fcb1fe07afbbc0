"""Operations written by users: load them, and check them against the schema before they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
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

from paperspace.gradient._core.documents import Document, parse_with_fragments
from paperspace.gradient._shared.graphql_files import graphql_folder, package_loader
from paperspace.gradient._shared.secrets import without_values
from paperspace.gradient._shared.snapshots import snapshot
from paperspace.gradient.errors import InvalidArgumentError


@cache
def pinned_schema() -> GraphQLSchema:
    """Load the pinned schema."""
    path = str(graphql_folder() / "schema.graphql")
    return build_schema(Source(package_loader.get_data(path).decode(), path))


def custom_document(document: str | Path, *, check: bool) -> Document:
    """Load the document in a file or a text.

    Args:
        document: The path of a `.graphql` file, which may spread fragments of files beside it; or the text itself.
        check: Whether it must be valid against the pinned schema.

    Raises:
        InvalidArgumentError: It cannot be read, or is invalid; the message names the position.
    """
    if not isinstance(document, str | Path):
        got = type(document).__name__
        raise InvalidArgumentError(
            f"document: expected the path of a .graphql file or the text of an operation, got {got}"
        )
    try:
        node = _parse(document)
    except OSError as error:
        raise InvalidArgumentError(f"cannot read {error.filename}: {error.strerror}") from error
    except GraphQLError as error:
        hint = "; to run a file, pass its pathlib.Path" if str(document).endswith(".graphql") else ""
        # Not from the error, whose text has lines of the document.
        raise InvalidArgumentError(with_position(error) + hint) from None
    except ValueError as error:  # not UTF-8, or not a path
        raise InvalidArgumentError(f"cannot read {document!s:.80}: {error}") from error
    operations = [part for part in node.definitions if isinstance(part, OperationDefinitionNode)]
    if len(operations) != 1 or operations[0].name is None:
        raise InvalidArgumentError("document: expected exactly one operation, with a name")
    errors = validate(pinned_schema(), node) if check else []
    if errors:
        raise InvalidArgumentError("invalid operation: " + "; ".join(with_position(error) for error in errors))
    return Document.from_node(node)


def check_variables(document: Document, variables: object) -> dict[str, object]:
    """Return the variables, checked against a valid operation.

    Raises:
        InvalidArgumentError: A variable is missing, unknown or of the wrong type.
    """
    values = require_variables(variables)
    [operation] = [part for part in document.node.definitions if isinstance(part, OperationDefinitionNode)]
    definitions = operation.variable_definitions or ()
    names = {definition.variable.name.value for definition in definitions}
    if unknown := sorted(set(values) - names):
        raise InvalidArgumentError(f"{document.name} has no variable ${unknown[0]}; its variables are {sorted(names)}")
    coerced = get_variable_values(pinned_schema(), definitions, values, max_errors=1)
    if isinstance(coerced, list):
        raise InvalidArgumentError(f"{document.name}: {without_values(coerced[0].message)}")
    return values


def require_variables(variables: object) -> dict[str, object]:
    """Return a copy of the variables: a retry sends the same ones, whatever the caller does with theirs meanwhile.

    Raises:
        InvalidArgumentError: They are not a mapping with strings as keys, or not plain data.
    """
    wrong = f"variables: expected a dict with strings as keys, got {type(variables).__name__}"
    if not isinstance(variables, Mapping):
        raise InvalidArgumentError(wrong)
    try:
        copied: dict[str, object] = deepcopy(snapshot(dict(variables)))
    except Exception as error:  # noqa: BLE001  # a generator, for example
        message = f"variables: expected plain data that does not change during the call: {without_values(str(error))}"
        raise InvalidArgumentError(message) from None
    if not all(isinstance(name, str) for name in copied):
        raise InvalidArgumentError(wrong)
    return copied


def with_position(error: GraphQLError) -> str:
    """Return the message of an error as `FILE:LINE:COLUMN: message`, which editors understand."""
    if not error.source or not error.locations:
        return without_values(error.message)
    line, column = error.locations[0]
    return f"{error.source.name}:{line}:{column}: {without_values(error.message)}"


def _parse(document: str | Path) -> DocumentNode:
    if isinstance(document, Path):
        return parse_with_fragments(document)
    return parse(Source(document, "the document"))
