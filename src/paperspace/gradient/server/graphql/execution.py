"""Execution of GraphQL requests, each in one transaction.

An executor and its database are used by one thread at a time. Each request reads one state of the database, and has a
budget.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    execute_sync,
    get_operation_ast,
)

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient.server.errors import ApplicationError, raise_for_problems
from paperspace.gradient.server.graphql.documents import Documents, GraphQLRequestError
from paperspace.gradient.server.graphql.field_execution import FieldExecutor
from paperspace.gradient.server.graphql.responses import (
    Outcome,
    Response,
    error_data,
    error_response,
    response_of,
)
from paperspace.gradient.server.graphql.schema import executable_schema
from paperspace.gradient.server.graphql.variables import variable_problems
from paperspace.gradient.server.storage.budget import BudgetExceededError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from paperspace.gradient.server.graphql.resolvers import Context
    from paperspace.gradient.server.storage.budget import Budget
    from paperspace.gradient.server.storage.rows import Row


class Request(NamedTuple):
    """A well-formed GraphQL request. The digests of its idempotency key and of its body identify retries."""

    query: str
    operation_name: str | None = None
    variables: Mapping[str, Any] | None = None
    key_digest: bytes | None = None
    body_digest: bytes = b""
    read_only: bool = False


class Executor:
    """Execute requests on the database of the context."""

    def __init__(self, context: Context, documents: Documents) -> None:
        self._context = context
        self._schema = executable_schema()
        self._documents = documents

    def execute_mutation(self, request: Request, budget: Budget) -> Response | None:
        """Execute a request if it is a mutation; otherwise, return None."""
        try:
            document, _ = self._documents.checked(request.query)
        except GraphQLRequestError:
            return None
        operation = get_operation_ast(document, request.operation_name)
        if operation is None or operation.operation is not OperationType.MUTATION:
            return None
        return self.execute(request, budget)

    def execute(self, request: Request, budget: Budget) -> Response:
        """Execute a request within a budget and return its response, also if it is rejected.

        Raises:
            InterruptedRequestError: the request was interrupted. Nothing was changed.
        """
        try:
            return self._execute(request, budget)
        except sqlite3.Error as error:  # at the start or the end of a transaction; reported like that of a field
            return response_of(ExecutionResult(None, [GraphQLError(str(error), original_error=error)]))
        except BudgetExceededError as error:
            response = error_response([error_data(str(error), Code.BUDGET_EXCEEDED)], Outcome.LIMIT_EXCEEDED)
            return response._replace(over_budget=True)
        except GraphQLRequestError as error:
            return error_response(error.errors, error.outcome)
        except ApplicationError as error:
            is_unavailable = error.extensions["code"] is Code.SERVICE_UNAVAILABLE
            outcome = Outcome.UNAVAILABLE if is_unavailable else Outcome.INVALID
            return error_response([{"message": str(error), "extensions": error.extensions}], outcome)

    def _execute(self, request: Request, budget: Budget) -> Response:
        document, limits = self._documents.checked(request.query)
        operation = self._select_operation(document, request)
        raise_for_problems(limits.page_size_problems(operation, request.variables or {}), show_values=False)
        budget.check()
        if operation.operation is OperationType.MUTATION:
            return self._execute_mutation(document, request, budget)
        return self._execute_query(document, request, budget)

    def _select_operation(self, document: DocumentNode, request: Request) -> OperationDefinitionNode:
        """Select the operation to execute and check its variables."""
        operation = get_operation_ast(document, request.operation_name)
        if operation is None:
            message = (
                "operationName must be the name of an operation in the document; omit it only if there is one operation"
            )
            raise ApplicationError(Code.BAD_USER_INPUT, message, path="operationName")
        if request.read_only and operation.operation is not OperationType.QUERY:
            message = "GET requests can only read: send mutations by POST"
            raise GraphQLRequestError([error_data(message, Code.BAD_USER_INPUT)], Outcome.METHOD_NOT_ALLOWED)
        raise_for_problems(variable_problems(self._schema, operation, request.variables or {}), show_values=False)
        return operation

    def _execute_query(self, document: DocumentNode, request: Request, budget: Budget) -> Response:
        with self._context.database.reading(budget):
            result = self._execute_document(document, request)
        return response_of(result)

    def _execute_mutation(self, document: DocumentNode, request: Request, budget: Budget) -> Response:
        """Execute a mutation completely or, on any error, not at all. A retry gets the result of the first attempt."""
        store, key = self._context.store, request.key_digest
        key_checked = key is not None
        with self._context.database.writing(budget):
            saved = None if key is None else store.saved_result(key, request.body_digest)
            if saved and saved.response is not None:
                return Response(saved.response, Outcome.EXECUTED, key_checked=True)
            # The limits allow one field. It adds its payload here, or returns that of an earlier attempt. Without a
            # payload, nothing was changed: the field was skipped, or is `__typename`.
            payload = {"deployment": saved.deployment} if saved and saved.deployment else {}
            result = self._execute_document(document, request, payload)
            if result.errors:
                self._context.database.roll_back()
                # With a saved result, an error says nothing about the earlier attempt, which was applied.
                failed = response_of(ExecutionResult(None, result.errors))
                return failed._replace(key_checked=key_checked and saved is None)
            response = response_of(result)._replace(key_checked=key_checked)
            if key is not None and payload and not saved:
                store.save_result(key, request.body_digest, response.body, payload["deployment"])
        return response

    def _execute_document(
        self, document: DocumentNode, request: Request, payload: dict[str, Row] | None = None
    ) -> ExecutionResult:
        return execute_sync(
            self._schema,
            document,
            root_value=payload,
            context_value=self._context,
            variable_values=dict(request.variables or {}),
            operation_name=request.operation_name,
            executor_class=FieldExecutor,
        )
