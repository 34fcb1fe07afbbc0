"""Execution of the fields of a request. What they take counts in the budget of the request.

Our resolvers are synchronous, and of `info` they use what is the same for each item of a list. So arguments and `info` of a
field are computed once, not for each item, and a leaf is not completed in the general way: this takes half the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from graphql import (
    GraphQLError,
    GraphQLField,
    GraphQLLeafType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    get_argument_values,
    get_nullable_type,
    is_leaf_type,
)
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental

from paperspace.gradient.server.graphql.responses import encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphql.execution.collect_fields import FieldDetailsList
    from graphql.pyutils import Path as ResponsePath

    from paperspace.gradient.server.storage.budget import Budget

_FIELD_OVERHEAD = 6  # bytes: quotes, a colon, a comma and a short value


class _Field(NamedTuple):
    """What is the same each time that a field of the document is executed."""

    type: GraphQLOutputType
    leaf_type: GraphQLLeafType | None
    resolve: Callable[..., Any]
    info: GraphQLResolveInfo[Any]
    arguments: dict[str, Any]
    size: int
    """The bytes of the response that are not its value."""


class FieldExecutor(ExecutorThrowingOnIncremental):
    """Executes the fields of one request, within the budget of the transaction."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._budget: Budget = self.context_value.database.budget
        self._fields: dict[int, _Field] = {}

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: FieldDetailsList,
        path: ResponsePath,
        position_context: None,
    ) -> Any:
        """Return the value of a field as the response has it."""
        field = self._fields.get(id(field_details_list))  # graphql-core keeps these lists until the end of the request
        if field is None:
            try:
                field = self._field(parent_type, field_details_list, path)
            except GraphQLError:  # an argument is invalid
                return super().execute_field(parent_type, source, field_details_list, path, position_context)
        self._budget.count_field(field.size)
        try:
            value = field.resolve(source, field.info, **field.arguments)
            if field.leaf_type is not None and value is not None:
                return self.complete_leaf_value(field.leaf_type, value)
            return self.complete_value(field.type, field_details_list, field.info, path, value, position_context)
        except Exception as error:  # noqa: BLE001  # becomes an error of the response
            self.handle_field_error(error, field.type, field_details_list, path)
            return None

    def _field(
        self, parent_type: GraphQLObjectType, field_details_list: FieldDetailsList, path: ResponsePath
    ) -> _Field:
        nodes = [details.node for details in field_details_list]
        name = nodes[0].name.value
        definition = cast("GraphQLField", self.schema.get_field(parent_type, name))  # the document is valid
        leaf_type = get_nullable_type(definition.type)
        field = _Field(
            definition.type,
            leaf_type if is_leaf_type(leaf_type) else None,
            definition.resolve or self.field_resolver,
            self.build_resolve_info(definition, nodes, parent_type, path),
            get_argument_values(definition, nodes[0], self.variable_values),
            len(str(path.key)) + _FIELD_OVERHEAD,
        )
        self._fields[id(field_details_list)] = field
        return field

    def complete_leaf_value(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self, return_type: GraphQLLeafType, result: Any
    ) -> Any:
        """Return a scalar or enum as the response has it."""
        value = super().complete_leaf_value(return_type, result)
        if isinstance(value, str):
            self._budget.count_result(len(encode(value)))
        return value
