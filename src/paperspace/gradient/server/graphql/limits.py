"""Limits of a document, looked at before it is validated: validation itself can be made to take long.

The measure is what programs send. The standard introspection query and all that the clients ask for fit in with room
to spare; what does not fit would be work for the server that no caller can want.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    get_named_type,
)

from paperspace.gradient.server.graphql.pagination import MOST, page_size_problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from paperspace.gradient._shared.problems import Problem

MOST_BYTES = 16 * 1024
MOST_TOKENS = 1000
MOST_DEPTH = 12
MOST_ALIASES = 30
MOST_ROOT_FIELDS = 10
MOST_SPREADS = 20
MOST_REPEATS = 20  # of one name in one selection set
MOST_REPEATS_IN_ALL = 50
MOST_COST = 5000

# What graphql-core adds to each root. Levels within are not counted here: it has a rule of its own for them, by which
# the standard introspection query passes.
_INTROSPECTION = {"__schema": "__Schema", "__type": "__Type"}


class TooMuchError(Exception):
    """The document asks for more than a document may."""


def check_length(query: str) -> None:
    """Looks at what is no document yet, and may never become one.

    Raises:
        TooMuchError: It is too long.
    """
    _at_most(len(query.encode()), MOST_BYTES, "bytes")


class Measured(NamedTuple):
    """A selection with all that is spread into it: how deep it is, and what it costs."""

    depth: int
    cost: int


class Limits:
    """Measures one document, each of its fragments once."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._measured: dict[str, Measured] = {}
        self._totals: Counter[str] = Counter()
        self._page_variables: set[str] = set()
        _at_most(len(self._fragments), MOST_SPREADS, "fragments")
        operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        for fragment in self._fragments.values():
            self._fragment(fragment)
        for operation in operations:
            self._operation(operation)

    def page_sizes(self, variables: Mapping[str, Any]) -> Iterator[Problem]:
        """What is wrong with the variables that say how long a page is to be."""
        for name in sorted(self._page_variables):
            yield from page_size_problems(name, variables.get(name))

    def _operation(self, operation: OperationDefinitionNode) -> None:
        roots = len(operation.selection_set.selections)
        if operation.operation is OperationType.MUTATION:
            _at_most(roots, 1, "root fields of a mutation")
        _at_most(roots, MOST_ROOT_FIELDS, "root fields")
        root = self._schema.get_root_type(operation.operation)
        measured = self._selection(operation.selection_set, root)
        _at_most(measured.depth, MOST_DEPTH, "levels")
        _at_most(measured.cost, MOST_COST, "fields and items of pages")

    def _fragment(self, fragment: FragmentDefinitionNode) -> Measured:
        name = fragment.name.value
        if name not in self._measured:
            self._measured[name] = Measured(0, 0)  # what a cycle finds; validation refuses cycles
            type_ = self._schema.type_map.get(fragment.type_condition.name.value)
            self._measured[name] = self._selection(fragment.selection_set, type_)
        return self._measured[name]

    def _selection(self, selection_set: SelectionSetNode, parent: GraphQLNamedType | None) -> Measured:
        depth, cost, names = 0, 0, Counter[str]()
        measured = Measured(0, 0)
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                names[node.alias.value if node.alias else node.name.value] += 1
                measured = self._field(node, parent)
            elif isinstance(node, FragmentSpreadNode):
                self._count("fragment spreads", MOST_SPREADS)
                fragment = self._fragments.get(node.name.value)
                measured = Measured(0, 0) if fragment is None else self._fragment(fragment)
            elif isinstance(node, InlineFragmentNode):
                self._count("fragment spreads", MOST_SPREADS)
                condition = node.type_condition
                type_ = parent if condition is None else self._schema.type_map.get(condition.name.value)
                measured = self._selection(node.selection_set, type_)
            depth, cost = max(depth, measured.depth), cost + measured.cost
        # Fields that answer under one name are compared with each other, and so are those within them.
        repeats = names.total() - len(names)
        if repeats:
            ((name, times),) = names.most_common(1)
            _at_most(times, MOST_REPEATS, f"fields that answer as {name}")
            self._count("repeated fields", MOST_REPEATS_IN_ALL, repeats)
        return Measured(depth, cost)

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> Measured:
        if node.alias:
            self._count("aliases", MOST_ALIASES)
        name, cost = node.name.value, 1
        type_ = self._schema.type_map.get(_INTROSPECTION.get(name, ""))
        if isinstance(parent, GraphQLObjectType) and name in parent.fields:
            type_ = get_named_type(parent.fields[name].type)
            if type_.name.endswith("Connection"):
                cost += self._page_size(node)
        inner = self._selection(node.selection_set, type_) if node.selection_set else Measured(0, 0)
        counted = parent is None or not parent.name.startswith("__")
        return Measured(inner.depth + counted, inner.cost + cost)

    def _page_size(self, node: FieldNode) -> int:
        size = MOST
        for argument in node.arguments or ():
            if argument.name.value in ("first", "last"):
                if isinstance(argument.value, VariableNode):
                    self._page_variables.add(argument.value.name.value)
                elif isinstance(argument.value, IntValueNode):
                    size = int(argument.value.value)
                    for problem in page_size_problems(argument.name.value, size):
                        raise TooMuchError(str(problem))
        return size

    def _count(self, what: str, most: int, number: int = 1) -> None:
        self._totals[what] += number
        _at_most(self._totals[what], most, what)


def _at_most(number: int, most: int, what: str) -> None:
    if number > most:
        raise TooMuchError(f"The document has more than {most} {what}.")
