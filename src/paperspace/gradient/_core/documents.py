"""Load the operations from `graphql/operations/`, each with the fragments that it uses.

A document is read, parsed and printed once, however often it runs.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from gql import GraphQLRequest
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    OperationType,
    Source,
    Visitor,
    concat_ast,
    parse,
    print_ast,
    visit,
)

from paperspace.gradient._shared.graphql_files import graphql_folder

if TYPE_CHECKING:
    from pathlib import Path

_OPERATIONS = graphql_folder() / "operations"


class Document(NamedTuple):
    """An operation with its fragments, ready to run."""

    name: str
    is_mutation: bool
    node: DocumentNode
    text: str

    @classmethod
    def from_node(cls, node: DocumentNode) -> Document:
        """Return the document of a parsed text that has one named operation."""
        [operation] = [part for part in node.definitions if isinstance(part, OperationDefinitionNode)]
        name = operation.name.value if operation.name else ""
        return cls(name, operation.operation is OperationType.MUTATION, node, print_ast(node))

    def request(self, variables: dict[str, Any]) -> Request:
        """Return a new request: a shared one would mix up the variables of two calls."""
        return Request(self, variables)


class Request(GraphQLRequest):
    """A request whose text is already printed. gql would print it again for each attempt."""

    def __init__(self, document: Document, variables: dict[str, Any]) -> None:
        super().__init__(document.node, variable_values=variables, operation_name=document.name)
        self._text = document.text

    @property
    def payload(self) -> dict[str, Any]:
        """The content of the request, before it is encoded as JSON."""
        return {"query": self._text, "operationName": self.operation_name, "variables": self.variable_values}


@cache
def load_document(name: str) -> Document:
    """Load the checked-in operation with this name."""
    return Document.from_node(parse_with_fragments(_OPERATIONS / f"{name}.graphql"))


def parse_with_fragments(path: Path) -> DocumentNode:
    """Parse a file, and the files beside it that define the fragments that it spreads. Each is named like its fragment."""
    parts: dict[str, DocumentNode] = {}
    _collect(path, parts)
    return concat_ast(list(parts.values()))


def _collect(path: Path, parts: dict[str, DocumentNode]) -> None:
    node = parse(Source(path.read_text(encoding="utf-8"), str(path)))
    parts[path.stem] = node
    spreads = _Spreads()
    visit(node, spreads)
    for name in spreads.names:
        if name not in parts and name not in _defined(node):
            _collect(path.with_name(f"{name}.graphql"), parts)


def _defined(node: DocumentNode) -> set[str]:
    """Return the names of the fragments that a document defines."""
    return {part.name.value for part in node.definitions if isinstance(part, FragmentDefinitionNode)}


class _Spreads(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        self.names.append(node.name.value)
