"""Loads the operations from `graphql/operations/`, each with the fragments that it uses.

A document is read, parsed and printed once, however often it runs.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from gql import GraphQLRequest
from graphql import (
    DocumentNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    OperationType,
    Visitor,
    concat_ast,
    parse,
    print_ast,
    visit,
)

from paperspace.gradient._base.files import graphql_folder

if TYPE_CHECKING:
    from pathlib import Path


class Document(NamedTuple):
    """An operation that is ready to run."""

    name: str
    is_mutation: bool
    node: DocumentNode
    text: str

    @classmethod
    def from_node(cls, node: DocumentNode) -> Document:
        """The document of a parsed text that holds one named operation."""
        [operation] = [part for part in node.definitions if isinstance(part, OperationDefinitionNode)]
        name = operation.name.value if operation.name else ""
        return cls(name, operation.operation is OperationType.MUTATION, node, print_ast(node))

    def request(self, variables: dict[str, Any]) -> Request:
        """A request of its own for each call, as a shared one would mix up the variables of two calls."""
        return Request(self, variables)


class Request(GraphQLRequest):
    """A request whose text is printed already; gql prints it anew each time that it is sent."""

    def __init__(self, document: Document, variables: dict[str, Any]) -> None:
        super().__init__(document.node, variable_values=variables, operation_name=document.name)
        self._text = document.text

    @property
    def payload(self) -> dict[str, Any]:
        """What goes over the wire, before it is JSON."""
        return {"query": self._text, "operationName": self.operation_name, "variables": self.variable_values}


@cache
def load_document(name: str) -> Document:
    """The checked-in operation of this name."""
    parts: dict[str, DocumentNode] = {}
    _collect(graphql_folder() / "operations", name, parts)
    return Document.from_node(concat_ast(list(parts.values())))


def _collect(folder: Path, name: str, parts: dict[str, DocumentNode]) -> None:
    """Adds the file of this name, and those of the fragments that it spreads."""
    parts[name] = parse((folder / f"{name}.graphql").read_text(encoding="utf-8"))
    spreads = _Spreads()
    visit(parts[name], spreads)
    for spread in spreads.names:
        if spread not in parts:
            _collect(folder, spread, parts)


class _Spreads(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        self.names.append(node.name.value)
