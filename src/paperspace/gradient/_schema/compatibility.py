"""Which functions break with another schema.

A function breaks if the server may reject an operation of it, or the values that the generated types of its inputs
allow; or if the server may send a response that the generated types of its results do not accept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLType,
    Node,
    TypeInfo,
    VariableDefinitionNode,
    Visitor,
    get_named_type,
    get_nullable_type,
    is_enum_type,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
    type_from_ast,
    validate,
    visit,
)

from paperspace.gradient._core.custom_operations import with_position
from paperspace.gradient._core.documents import load_document
from paperspace.gradient._core.responses import unknown_fields
from paperspace.gradient._generated import scalars
from paperspace.gradient._schema.functions import ADDED_INPUTS, FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphql import DocumentNode, GraphQLEnumType, GraphQLInputObjectType, GraphQLNamedType, GraphQLSchema

# The Python types of the values that JSON carries for each built-in scalar.
_SCALARS: dict[str, set[type]] = {
    "Boolean": {bool},
    "Float": {int, float},
    "ID": {str},
    "Int": {int},
    "String": {str},
}

# The same for inputs.
_INPUTS: dict[str, set[type]] = {**_SCALARS, "ID": {int, str}}

# Fields of inputs that the library requires, although their types allow null.
_ALWAYS_SENT = {
    "DeploymentSpecAutoscalingMetricInput.metric",
    "DeploymentSpecAutoscalingMetricInput.value",
    "DeploymentSpecDataInput.image",
    "DeploymentSpecModelInput.id",
}


def broken_functions(old: GraphQLSchema, new: GraphQLSchema) -> dict[str, tuple[str, ...]]:
    """Return the functions that break if the library, built for one schema, is used with another.

    Returns:
        The reasons for each function, as `FILE:LINE:COLUMN: reason`.
    """
    reasons: dict[str, dict[str, None]] = {}
    for operation, functions in FUNCTIONS.items():
        for error in _errors(_sent_document(operation, new), old, new):
            for function in functions:
                reasons.setdefault(function, {})[with_position(error)] = None
    return {function: tuple(found) for function, found in sorted(reasons.items())}


def _sent_document(operation: str, new: GraphQLSchema) -> DocumentNode:
    """Return what is sent for an operation: without the additions that the schema lacks, as its server says."""
    document = load_document(operation)
    return document.without(unknown_fields(error.message for error in validate(new, document.node))).node


def _errors(document: DocumentNode, old: GraphQLSchema, new: GraphQLSchema) -> list[GraphQLError]:
    comparison = _Comparison(old, new)
    visit(document, comparison)
    return validate(new, document) + comparison.errors


class _Comparison(Visitor):
    """Compares the types of the fields and of the variables of a document in two schemas."""

    def __init__(self, old: GraphQLSchema, new: GraphQLSchema) -> None:
        super().__init__()
        self.errors: list[GraphQLError] = []
        self._old, self._new = old, new
        self._old_info, self._new_info = TypeInfo(old), TypeInfo(new)

    def enter(self, node: Node, *_: object) -> None:
        self._old_info.enter(node)
        self._new_info.enter(node)
        problems: Iterator[str] = iter(())
        if isinstance(node, FieldNode):
            field = f"{self._old_info.get_parent_type()}.{node.name.value}"
            problems = _output_problems(field, self._old_info.get_type(), self._new_info.get_type())
        elif isinstance(node, VariableDefinitionNode):
            types = [get_named_type(type_from_ast(schema, node.type)) for schema in (self._old, self._new)]
            problems = _input_problems(types[0], types[1], set())
        self.errors += [GraphQLError(problem, node) for problem in problems]

    def leave(self, node: Node, *_: object) -> None:
        self._old_info.leave(node)
        self._new_info.leave(node)


def _output_problems(field: str, old: GraphQLType | None, new: GraphQLType | None) -> Iterator[str]:
    if old and new and not _accepts_output(old, new):
        yield f"{field}: expected {old}, got {new}"


def _accepts_output(old: Any, new: Any) -> bool:
    """Whether the generated type of `old` accepts every response of the type `new`."""
    if is_non_null_type(new):
        return _accepts_output(get_nullable_type(old), new.of_type)
    if is_non_null_type(old):
        return False
    if is_list_type(old) or is_list_type(new):
        return is_list_type(old) and is_list_type(new) and _accepts_output(old.of_type, new.of_type)
    if is_leaf_type(old) and is_leaf_type(new):
        return _same(old, new) or _json_types(new) <= _json_types(old)
    return True  # two selections, whose fields are compared; or an error of the validation


def _input_problems(old: GraphQLNamedType | None, new: GraphQLNamedType | None, seen: set[str]) -> Iterator[str]:
    """Yield why `new` does not accept every value that the generated type of `old` allows."""
    if is_enum_type(old) and is_enum_type(new):
        yield from _removed_values(old, new)
    elif is_input_object_type(old) and is_input_object_type(new) and old.name not in seen:
        yield from _input_object_problems(old, new, seen | {old.name})


def _removed_values(old: GraphQLEnumType, new: GraphQLEnumType) -> Iterator[str]:
    for value in old.values:
        if value not in new.values:
            yield f"{old}.{value} was removed"


def _input_object_problems(old: GraphQLInputObjectType, new: GraphQLInputObjectType, seen: set[str]) -> Iterator[str]:
    for name, field in old.fields.items():
        coordinate, new_field = f"{old}.{name}", new.fields.get(name)
        if new_field is None:
            if coordinate not in ADDED_INPUTS:
                yield f"{coordinate} was removed"
            continue
        expected: Any = get_nullable_type(new_field.type) if coordinate in _ALWAYS_SENT else new_field.type
        if not _accepts_input(field.type, expected):
            yield f"{coordinate} changed from {field.type} to {new_field.type}"
        yield from _input_problems(get_named_type(field.type), get_named_type(new_field.type), seen)
    for name, field in new.fields.items():
        if name not in old.fields and is_required_input_field(field):
            yield f"{old}.{name} is required, but the library does not know it"
    if new.is_one_of and not old.is_one_of:
        yield f"{old} takes exactly one field (@oneOf)"


def _accepts_input(old: Any, new: Any) -> bool:
    """Whether the type `new` accepts every value that the generated type of `old` allows, apart from its fields."""
    if is_non_null_type(old):
        return _accepts_input(old.of_type, get_nullable_type(new))
    if is_non_null_type(new):
        return False
    if is_list_type(old):
        return is_list_type(new) and _accepts_input(old.of_type, new.of_type)
    if is_list_type(new):  # a single value counts as a list of one
        return _accepts_input(old, get_nullable_type(new.of_type))
    if is_enum_type(new) or is_input_object_type(new) or is_input_object_type(old):
        return type(old) is type(new)
    return _same(old, new) or _json_types(old) <= _INPUTS.get(new.name, set())


def _same(old: GraphQLNamedType, new: GraphQLNamedType) -> bool:
    return type(old) is type(new) and old.name == new.name


def _json_types(leaf: GraphQLNamedType) -> set[type]:
    """Return the Python types of the values of a leaf type. Those of an unknown scalar may have any type."""
    known = str if is_enum_type(leaf) else getattr(scalars, leaf.name, object)
    return _SCALARS.get(leaf.name, {known})
