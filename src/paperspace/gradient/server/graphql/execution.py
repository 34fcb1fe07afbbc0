"""Execution of GraphQL requests, each in one transaction.

An executor and its database are used by one thread at a time. Each request reads one state of the database, and has a
budget.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from uuid import uuid4

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    ValuesOfCorrectTypeRule,
    execute_sync,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient._shared.secrets import without_values
from paperspace.gradient.server.errors import ApplicationError, raise_for_problems
from paperspace.gradient.server.graphql.limits import MAX_TOKENS, DocumentLimits, LimitExceededError, check_length
from paperspace.gradient.server.graphql.schema import executable_schema
from paperspace.gradient.server.graphql.variables import variable_problems
from paperspace.gradient.server.storage.budget import BudgetExceededError
from paperspace.gradient.server.storage.database import storage_error

if TYPE_CHECKING:
    from graphql import GraphQLLeafType, GraphQLObjectType
    from graphql.execution.collect_fields import FieldDetailsList
    from graphql.pyutils import Path as ResponsePath

    from paperspace.gradient.server.graphql.resolvers import Context
    from paperspace.gradient.server.storage.budget import Budget
    from paperspace.gradient.server.storage.rows import Row

_log = logging.getLogger(__name__)

_DOCUMENT_CACHE_SIZE = 128  # programs send the same few documents many times
_MAX_VALIDATION_ERRORS = 5  # the suggestions in each message can take milliseconds
_FIELD_OVERHEAD = 6  # bytes: quotes, a colon, a comma and a short value
_MAX_FIELD_ERRORS = 100  # an invalid argument can cause one error per item of a list


class _ValueRule(ValuesOfCorrectTypeRule):
    """Give an invalid value in the document the code that it has in the variables."""

    def report_error(self, error: GraphQLError) -> None:
        error.extensions = {"code": Code.BAD_USER_INPUT}
        super().report_error(error)


_RULES = tuple(_ValueRule if rule is ValuesOfCorrectTypeRule else rule for rule in specified_rules)

ErrorData = Mapping[str, Any]


class Outcome(Enum):
    """What happened to a request: the status of the response, and its status in application/json."""

    EXECUTED = (HTTPStatus.OK, HTTPStatus.OK)
    """Executed, perhaps with errors in fields. A mutation with errors was rolled back."""
    INVALID = (HTTPStatus.BAD_REQUEST, HTTPStatus.OK)
    """The document or the variables are invalid."""
    LIMIT_EXCEEDED = (HTTPStatus.BAD_REQUEST, HTTPStatus.BAD_REQUEST)
    """The document exceeds a limit, or its execution exceeds the budget. Nothing was changed."""
    METHOD_NOT_ALLOWED = (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.METHOD_NOT_ALLOWED)
    """A mutation by GET."""

    @property
    def status(self) -> HTTPStatus:
        """The status of the response in application/graphql-response+json."""
        return self.value[0]

    @property
    def json_status(self) -> HTTPStatus:
        """The status of the response in application/json."""
        return self.value[1]


class Request(NamedTuple):
    """A well-formed GraphQL request. The digests of its idempotency key and of its body identify retries."""

    query: str
    operation_name: str | None = None
    variables: Mapping[str, Any] | None = None
    key_digest: bytes | None = None
    body_digest: bytes = b""
    read_only: bool = False


class Response(NamedTuple):
    """The body of a response, and what happened to the request.

    `key_checked` says that the request is a mutation, and that the response is what its idempotency key stands for: the
    saved result of an earlier attempt, or the result of this one, before which none was applied. `over_budget` says that
    the request needs more than its budget.
    """

    body: bytes
    outcome: Outcome
    key_checked: bool = False
    over_budget: bool = False


class GraphQLRequestError(Exception):
    """A "request error" of the GraphQL specification: the request is rejected as a whole, with these errors."""

    def __init__(self, errors: Sequence[ErrorData], outcome: Outcome = Outcome.INVALID) -> None:
        self.errors = errors
        self.outcome = outcome


class Documents:
    """Parse and validate documents, and cache the results. Threads share it."""

    def __init__(self) -> None:
        self._schema = executable_schema()
        self.checked = lru_cache(_DOCUMENT_CACHE_SIZE)(self._check)  # does not cache errors

    def _check(self, query: str) -> tuple[DocumentNode, DocumentLimits]:
        """Parse a document and validate it; check its limits first.

        Raises:
            GraphQLRequestError: the document is invalid, or exceeds a limit.
        """
        try:
            check_length(query)
            document = parse(query, max_lexical_tokens=MAX_TOKENS)
            limits = DocumentLimits(self._schema, document)
        except LimitExceededError as error:
            limit_error = _error(str(error), Code.GRAPHQL_VALIDATION_FAILED)
            raise GraphQLRequestError([limit_error], Outcome.LIMIT_EXCEEDED) from None
        except GraphQLError as error:
            raise GraphQLRequestError([_with_code(error, Code.GRAPHQL_PARSE_FAILED)]) from None
        if errors := validate(self._schema, document, _RULES, max_errors=_MAX_VALIDATION_ERRORS):
            codes = [(error.extensions or {}).get("code", Code.GRAPHQL_VALIDATION_FAILED) for error in errors]
            raise GraphQLRequestError([_with_code(*pair) for pair in zip(errors, codes, strict=True)])
        return document, limits


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
            return _response(ExecutionResult(None, [GraphQLError(str(error), original_error=error)]))
        except BudgetExceededError as error:
            response = _error_response([_error(str(error), Code.BAD_USER_INPUT)], Outcome.LIMIT_EXCEEDED)
            return response._replace(over_budget=True)
        except GraphQLRequestError as error:
            return _error_response(error.errors, error.outcome)
        except ApplicationError as error:
            return _error_response([{"message": str(error), "extensions": error.extensions}], Outcome.INVALID)

    def _execute(self, request: Request, budget: Budget) -> Response:
        document, limits = self._documents.checked(request.query)
        operation = self._select_operation(document, request)
        raise_for_problems(limits.page_size_problems(request.variables or {}), show_values=False)
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
            raise GraphQLRequestError([_error(message, Code.BAD_USER_INPUT)], Outcome.METHOD_NOT_ALLOWED)
        raise_for_problems(variable_problems(self._schema, operation, request.variables or {}), show_values=False)
        return operation

    def _execute_query(self, document: DocumentNode, request: Request, budget: Budget) -> Response:
        with self._context.database.reading(budget):
            result = self._execute_document(document, request)
        return _response(result)

    def _execute_mutation(self, document: DocumentNode, request: Request, budget: Budget) -> Response:
        """Execute a mutation completely or, on any error, not at all. A retry gets the result of the first attempt."""
        store, key = self._context.store, request.key_digest
        key_checked = key is not None
        with self._context.database.writing(budget):
            saved = None if key is None else store.saved_result(key, request.body_digest)
            if saved and saved.response is not None:
                return Response(saved.response, Outcome.EXECUTED, key_checked=True)
            # The limits allow one field. It adds its payload here, or returns that of an earlier attempt.
            payload = {"deployment": saved.deployment} if saved and saved.deployment else {}
            result = self._execute_document(document, request, payload)
            if result.errors:
                self._context.database.roll_back()
                return _response(ExecutionResult(None, result.errors))._replace(key_checked=key_checked)
            response = _response(result)._replace(key_checked=key_checked)
            if key is not None and not saved:
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
            executor_class=_CountingExecutor,
        )


class _CountingExecutor(ExecutorThrowingOnIncremental):
    """Count in the budget of the request what is resolved, and the bytes of the response."""

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: FieldDetailsList,
        path: ResponsePath,
        position_context: None,
    ) -> Any:
        budget: Budget = self.context_value.database.budget
        budget.count_field()
        budget.count_result(len(str(path.key)) + _FIELD_OVERHEAD)
        return super().execute_field(parent_type, source, field_details_list, path, position_context)

    def complete_leaf_value(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self, return_type: GraphQLLeafType, result: Any
    ) -> Any:
        value = super().complete_leaf_value(return_type, result)
        if isinstance(value, str):
            self.context_value.database.budget.count_result(len(_encode(value)))
        return value


def internal_error(error: BaseException) -> ErrorData:
    """Log the traceback of a bug; return an error for the caller, which has only the id of the log record."""
    id_ = str(uuid4())
    _log.error("internal error %s", id_, exc_info=error)
    extensions = {"code": Code.INTERNAL_SERVER_ERROR, "id": id_}
    return {"message": f"internal error {id_}", "extensions": extensions}


def _response(result: ExecutionResult) -> Response:
    if not result.errors:
        return Response(_serialize({"data": result.data}), Outcome.EXECUTED)
    errors = [_describe_field_error(error) for error in result.errors[:_MAX_FIELD_ERRORS]]
    return Response(_serialize({"errors": errors, "data": result.data}), Outcome.EXECUTED)


def _error_response(errors: Sequence[ErrorData], outcome: Outcome) -> Response:
    return Response(_serialize({"errors": errors}), outcome)


def _describe_field_error(error: GraphQLError) -> ErrorData:
    """Return what the caller may see of an error during execution."""
    cause = error.original_error
    if application_error := storage_error(cause):
        return {**error.formatted, "message": str(application_error), "extensions": application_error.extensions}
    if isinstance(cause, ApplicationError):
        return error.formatted
    if isinstance(cause, GraphQLError) and cause.nodes:
        # graphql-core's own error: a variable made the argument that holds it invalid.
        return _with_code(error, Code.BAD_USER_INPUT)
    return {**error.formatted, **internal_error(cause or error)}


def _error(message: str, code: Code) -> ErrorData:
    return {"message": message, "extensions": {"code": code}}


def _with_code(error: GraphQLError, code: Code) -> ErrorData:
    return {**error.formatted, "message": without_values(error.message), "extensions": {"code": code}}


def _serialize(body: Mapping[str, Any]) -> bytes:
    return "".join(_json_parts(body, depth=8)).encode()


def _json_parts(value: Any, depth: int) -> Iterator[str]:
    """Yield the JSON text of a value in parts, which are small if its lists are at most `depth` levels below it.

    The encoder does not let other threads run.
    """
    if depth and isinstance(value, dict):
        separator = ""
        yield "{"
        for key, item in cast("dict[str, Any]", value).items():
            yield f"{separator}{_encode(key)}:"
            yield from _json_parts(item, depth - 1)
            separator = ","
        yield "}"
    elif depth and isinstance(value, list):
        separator = ""
        yield "["
        for item in value:
            yield separator
            yield from _json_parts(item, depth - 1)
            separator = ","
        yield "]"
    else:
        yield _encode(value)


_encode = json.JSONEncoder(separators=(",", ":")).encode
