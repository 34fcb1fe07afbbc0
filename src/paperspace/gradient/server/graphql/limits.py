"""Limits on a document, checked before validation, because validating a hostile document can take long.

The limits follow what programs send: the standard introspection query and all requests of the clients stay well below
them.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    TokenKind,
    VariableNode,
    get_named_type,
)

from paperspace.gradient.server.errors import raise_for_problems
from paperspace.gradient.server.graphql.pagination import MAX_PAGE_SIZE, page_size_problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from paperspace.gradient._shared.problems import Problem

MAX_BYTES = 16 * 1024
MAX_TOKENS = 1000
MAX_DEPTH = 12
MAX_ALIASES = 30
MAX_ROOT_FIELDS = 10
MAX_SPREADS = 20
MAX_REPEATS = 20  # of one response name in one selection set
MAX_TOTAL_REPEATS = 50
MAX_COST = 5000
MAX_DIGITS = 400  # of a number; Python refuses to convert 4,301, and the largest Float has 309

# The introspection fields of each root. Levels inside them do not count here: graphql-core has a rule for them, which
# the standard introspection query satisfies.
_INTROSPECTION = {"__schema": "__Schema", "__type": "__Type"}


class LimitExceededError(Exception):
    """The document exceeds a limit."""


class EmptySelectionError(GraphQLError):
    """A selection set has no fields, which graphql-core accepts and the specification does not."""

    def __init__(self, node: SelectionSetNode) -> None:
        super().__init__("Syntax Error: Expected Name, found '}'.", node)


def check_length(query: str) -> None:
    """Check the size of the text before parsing it.

    Raises:
        LimitExceededError: it is too long.
    """
    _check_limit(len(query.encode()), MAX_BYTES, "bytes")


class SelectionSize(NamedTuple):
    """The size of a selection, including the fragments that it spreads."""

    fields: int
    """The number of its fields, without those inside of them."""
    depth: int
    cost: int
    page_sizes: frozenset[str] = frozenset()
    """The variables that are page sizes in it."""


_EMPTY = SelectionSize(0, 0, 0)


class DocumentLimits:
    """Check the limits of one document; measure each of its fragments once.

    Raises:
        LimitExceededError: the document exceeds a limit.
        EmptySelectionError: a selection set is empty.
        ApplicationError: a page size is invalid.
    """

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._fragment_sizes: dict[str, SelectionSize] = {}
        self._totals: Counter[str] = Counter()
        self._page_sizes: dict[str | None, frozenset[str]] = {}  # by the name of the operation
        _check_limit(len(self._fragments), MAX_SPREADS, "fragments")
        _check_numbers(document)
        operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        for fragment in self._fragments.values():
            self._measure_fragment(fragment)
        for operation in operations:
            self._check_operation(operation)

    def page_size_problems(self, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> Iterator[Problem]:
        """Check the variables that an operation uses as page sizes, and their defaults."""
        defaults = {
            definition.variable.name.value: int(definition.default_value.value)
            for definition in operation.variable_definitions or ()
            if isinstance(definition.default_value, IntValueNode)
        }
        for name in sorted(self._page_sizes[_name(operation)]):
            yield from page_size_problems(name, variables.get(name, defaults.get(name)))

    def _check_operation(self, operation: OperationDefinitionNode) -> None:
        root_type = self._schema.get_root_type(operation.operation)
        size = self._measure_selection(operation.selection_set, root_type)
        self._page_sizes[_name(operation)] = size.page_sizes
        if operation.operation is OperationType.MUTATION:
            _check_limit(size.fields, 1, "root field in a mutation")
        _check_limit(size.fields, MAX_ROOT_FIELDS, "root fields")
        _check_limit(size.depth, MAX_DEPTH, "levels")
        if size.cost > MAX_COST:
            raise LimitExceededError(
                f"the cost of the operation is above {MAX_COST}; the cost is the number of fields plus the page sizes of lists"
            )

    def _measure_fragment(self, fragment: FragmentDefinitionNode) -> SelectionSize:
        name = fragment.name.value
        if name not in self._fragment_sizes:
            self._fragment_sizes[name] = _EMPTY  # ends a cycle, which validation rejects
            type_ = self._schema.type_map.get(fragment.type_condition.name.value)
            self._fragment_sizes[name] = self._measure_selection(fragment.selection_set, type_)
        return self._fragment_sizes[name]

    def _measure_selection(self, selection_set: SelectionSetNode, parent: GraphQLNamedType | None) -> SelectionSize:
        if not selection_set.selections:
            raise EmptySelectionError(selection_set)
        fields, depth, cost, names = 0, 0, 0, Counter[str]()
        size = _EMPTY
        page_sizes: set[str] = set()
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                names[node.alias.value if node.alias else node.name.value] += 1
                size = self._measure_field(node, parent)
            elif isinstance(node, FragmentSpreadNode):
                self._count("fragment spreads", MAX_SPREADS)
                fragment = self._fragments.get(node.name.value)
                size = _EMPTY if fragment is None else self._measure_fragment(fragment)
            elif isinstance(node, InlineFragmentNode):
                self._count("fragment spreads", MAX_SPREADS)
                condition = node.type_condition
                type_ = parent if condition is None else self._schema.type_map.get(condition.name.value)
                size = self._measure_selection(node.selection_set, type_)
            fields, depth, cost = fields + size.fields, max(depth, size.depth), cost + size.cost
            page_sizes |= size.page_sizes
        # Validation compares all fields with the same response name, and the fields inside them.
        repeats = names.total() - len(names)
        if repeats:
            ((name, count),) = names.most_common(1)
            _check_limit(count, MAX_REPEATS, f"fields with the response name {name}")
            self._count("repeated fields", MAX_TOTAL_REPEATS, repeats)
        return SelectionSize(fields, depth, cost, frozenset(page_sizes))

    def _measure_field(self, node: FieldNode, parent: GraphQLNamedType | None) -> SelectionSize:
        if node.alias:
            self._count("aliases", MAX_ALIASES)
        name, cost, page_sizes = node.name.value, 1, frozenset[str]()
        type_ = self._schema.type_map.get(_INTROSPECTION.get(name, ""))
        if isinstance(parent, GraphQLObjectType) and name in parent.fields:
            type_ = get_named_type(parent.fields[name].type)
            if type_.name.endswith("Connection"):
                cost += _page_size(node)
                page_sizes = _page_size_variables(node)
        inner = self._measure_selection(node.selection_set, type_) if node.selection_set else _EMPTY
        is_counted = parent is None or not parent.name.startswith("__")
        return SelectionSize(1, inner.depth + is_counted, inner.cost + cost, inner.page_sizes | page_sizes)

    def _count(self, what: str, limit: int, number: int = 1) -> None:
        self._totals[what] += number
        _check_limit(self._totals[what], limit, what)


def _name(operation: OperationDefinitionNode) -> str | None:
    return operation.name.value if operation.name else None


def _page_size(connection: FieldNode) -> int:
    size = MAX_PAGE_SIZE
    for argument in _page_size_arguments(connection):
        if isinstance(argument.value, IntValueNode):
            size = int(argument.value.value)
            raise_for_problems(page_size_problems(argument.name.value, size))
    return size


def _page_size_variables(connection: FieldNode) -> frozenset[str]:
    values = (argument.value for argument in _page_size_arguments(connection))
    return frozenset(value.name.value for value in values if isinstance(value, VariableNode))


def _page_size_arguments(connection: FieldNode) -> Iterator[ArgumentNode]:
    return (argument for argument in connection.arguments or () if argument.name.value in ("first", "last"))


def _check_numbers(document: DocumentNode) -> None:
    token = document.loc.start_token if document.loc else None
    while token is not None:
        if token.kind in (TokenKind.INT, TokenKind.FLOAT):
            _check_limit(len(token.value or ""), MAX_DIGITS, "digits in a number")
        token = token.next


def _check_limit(number: int, limit: int, what: str) -> None:
    if number > limit:
        raise LimitExceededError(f"the document has more than {limit} {what}")
