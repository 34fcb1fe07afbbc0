"""What differs between two schemas, by its effect on clients in general."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from graphql import (
    BreakingChange,
    DangerousChange,
    GraphQLSchema,
    OperationType,
    SafeChangeType,
    find_schema_changes,
    is_input_object_type,
    is_scalar_type,
    specified_directives,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphql import GraphQLNamedType


# graphql-core calls them safe, but the default applies to all clients that leave the argument or the field out.
_NEW_DEFAULTS = {SafeChangeType.ARG_DEFAULT_VALUE_ADDED, SafeChangeType.INPUT_FIELD_DEFAULT_VALUE_ADDED}


class Changes(NamedTuple):
    """The changes, each as a sentence."""

    breaking: list[str]
    dangerous: list[str]
    safe: list[str]
    descriptions: list[str]


def find_changes(old: GraphQLSchema, new: GraphQLSchema) -> Changes:
    """Return the changes from one schema to another."""
    changes = Changes([], [], [], [])
    _add_operation_changes(changes, old, new)
    for change in find_schema_changes(old, _with_specified_directives(new)):
        if isinstance(change, BreakingChange):
            changes.breaking.append(change.description)
        elif isinstance(change, DangerousChange) or change.type in _NEW_DEFAULTS:
            changes.dangerous.append(change.description)
        elif change.type is SafeChangeType.DESCRIPTION_CHANGED:
            changes.descriptions.append(change.description)
        else:
            changes.safe.append(change.description)
    for name, type_ in new.type_map.items():
        if (old_type := old.type_map.get(name)) is not None:
            _add_directive_changes(changes, old_type, type_)
            changes.safe.extend(_deprecations(old_type, type_))
    return changes


def _with_specified_directives(schema: GraphQLSchema) -> GraphQLSchema:
    """Use the directives of the newest GraphQL specification. Older servers lack some, or some of their places, which changes nothing."""
    names = {directive.name for directive in specified_directives}
    options: Any = schema.to_kwargs()
    others = tuple(directive for directive in schema.directives if directive.name not in names)
    options["directives"] = others + specified_directives
    return GraphQLSchema(**options)


def _add_operation_changes(changes: Changes, old: GraphQLSchema, new: GraphQLSchema) -> None:
    for operation in OperationType:
        before, after = old.get_root_type(operation), new.get_root_type(operation)
        if before is None and after is not None:
            changes.safe.append(f"The schema has a {operation.value} type now: {after}.")
        elif before is not None and after is None:
            changes.breaking.append(f"The schema has no {operation.value} type any more; it was {before}.")
        elif str(before) != str(after):
            changes.breaking.append(f"The {operation.value} type changed from {before} to {after}.")


def _add_directive_changes(changes: Changes, old: GraphQLNamedType, new: GraphQLNamedType) -> None:
    if is_input_object_type(old) and is_input_object_type(new):
        if new.is_one_of and not old.is_one_of:
            changes.breaking.append(f"Input type {new} is @oneOf now: it takes exactly one field.")
        elif old.is_one_of and not new.is_one_of:
            changes.safe.append(f"Input type {new} is not @oneOf any more.")
    # Without a URL, nothing is known: older servers do not return it.
    if is_scalar_type(old) and is_scalar_type(new) and new.specified_by_url not in (None, old.specified_by_url):
        changes.dangerous.append(f"Scalar {new} is specified by {new.specified_by_url} now.")


def _deprecations(old: GraphQLNamedType, new: GraphQLNamedType) -> Iterator[str]:
    old_parts = dict(_parts(old))
    for coordinate, part in _parts(new):
        if coordinate not in old_parts:
            continue
        before, after = old_parts[coordinate].deprecation_reason, part.deprecation_reason
        if after is not None and after != before:
            yield f"{coordinate} is deprecated: {after}"
        elif before is not None and after is None:
            yield f"{coordinate} is not deprecated any more."


def _parts(type_: GraphQLNamedType) -> Iterator[tuple[str, Any]]:
    """Yield what can be deprecated in a type: its fields, with their arguments, and its values."""
    for name, part in {**getattr(type_, "fields", {}), **getattr(type_, "values", {})}.items():
        yield f"{type_}.{name}", part
        for argument, value in getattr(part, "args", {}).items():
            yield f"{type_}.{name}({argument}:)", value
