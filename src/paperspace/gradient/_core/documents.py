"""Load the operations from `graphql/operations/`, each with the fragments that it uses.

A document is read, parsed and printed once, however often it runs. A fragment whose name begins with `Added` selects fields
that the hosted API did not have: for a server that lacks some of them, there is a document without these fields.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from gql import GraphQLRequest
from graphql import (
    REMOVE,
    DocumentNode,
    FieldNode,
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

from paperspace.gradient._shared.graphql_files import graphql_folder, package_loader

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator
    from pathlib import Path

_OPERATIONS = graphql_folder() / "operations"
_ADDED = "Added"


class Document(NamedTuple):
    """An operation with its fragments, ready to run."""

    name: str
    is_mutation: bool
    node: DocumentNode
    text: str
    additions: frozenset[str] = frozenset()
    """The names of its fields that the hosted API did not have."""

    def without(self, fields: frozenset[str]) -> Document:
        """Return the same operation without these fields, as far as they are additions."""
        left_out = self.additions & fields
        return _load(self.name, left_out) if left_out else self

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
    return _load(name, frozenset())


@cache
def _load(name: str, left_out: frozenset[str]) -> Document:
    node = parse_with_fragments(_OPERATIONS / f"{name}.graphql", left_out, read=_read_data)
    return Document.from_node(node)._replace(additions=frozenset(_additions(node)))


def _read_data(path: Path) -> str:
    return package_loader.get_data(str(path)).decode()


def _read_file(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def parse_with_fragments(
    path: Path, left_out: frozenset[str] = frozenset(), *, read: Callable[[Path], str] = _read_file
) -> DocumentNode:
    """Parse a file, and the files beside it that define the fragments that it spreads. Each is named like its fragment.

    Args:
        path: The file.
        left_out: The additions to leave out.
        read: Reads a file.
    """
    parts: dict[str, DocumentNode] = {}
    _collect(path, parts, left_out, read)
    document = concat_ast(list(parts.values()))
    return visit(document, _WithoutSpreads(_fragments(document))) if left_out else document


def _collect(path: Path, parts: dict[str, DocumentNode], left_out: frozenset[str], read: Callable[[Path], str]) -> None:
    node = parse(Source(read(path), str(path)))
    if left_out and path.stem.startswith(_ADDED):
        node = visit(node, _WithoutFields(left_out))
    parts[path.stem] = node
    spreads = _Spreads()
    visit(node, spreads)
    for name in spreads.names:
        if name not in parts and name not in _fragments(node):
            _collect(path.with_name(f"{name}.graphql"), parts, left_out, read)


def _fragments(node: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    """Return the fragments that a document defines, by name."""
    return {part.name.value: part for part in node.definitions if isinstance(part, FragmentDefinitionNode)}


def _additions(node: DocumentNode) -> Iterator[str]:
    """Yield the names of the fields that a server may lack."""
    for name, fragment in _fragments(node).items():
        if name.startswith(_ADDED):
            yield from (field.name.value for field in fragment.selection_set.selections if isinstance(field, FieldNode))


class _Spreads(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        self.names.append(node.name.value)


class _WithoutFields(Visitor):
    """Removes fields from a fragment, and the fragment if nothing of it is left."""

    def __init__(self, fields: frozenset[str]) -> None:
        super().__init__()
        self._fields = fields

    def enter_field(self, node: FieldNode, *_: object) -> object:
        return REMOVE if node.name.value in self._fields else None

    def leave_fragment_definition(self, node: FragmentDefinitionNode, *_: object) -> object:
        return None if node.selection_set.selections else REMOVE


class _WithoutSpreads(Visitor):
    """Removes the spreads of fragments that are not defined."""

    def __init__(self, defined: Container[str]) -> None:
        super().__init__()
        self._defined = defined

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> object:
        return None if node.name.value in self._defined else REMOVE
