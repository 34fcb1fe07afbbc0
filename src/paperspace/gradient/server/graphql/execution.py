"""Executes requests: one request, one transaction.

An engine belongs to one thread, with its store. Requests wait for each other there, so that they are never in
each other's way: no lock is ever refused, and what a request reads is one state of the database.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    execute_sync,
    get_operation_ast,
    parse,
    validate,
)

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient.server.errors import Refusal, refuse
from paperspace.gradient.server.graphql.limits import MOST_TOKENS, Limits, TooMuchError, check_length
from paperspace.gradient.server.graphql.pagination import Window
from paperspace.gradient.server.graphql.schema import executable_schema
from paperspace.gradient.server.graphql.variables import variable_problems
from paperspace.gradient.server.storage.database import MOST_ROWS, TooManyRowsError, storage_refusal

if TYPE_CHECKING:
    from paperspace.gradient.server.graphql.resolvers import Context

_log = logging.getLogger(__name__)

_DOCUMENTS_KEPT = 128  # programs send the same few documents again and again
_MOST_ERRORS = 5  # each may take milliseconds to look for what was meant
_MOST_FIELD_ERRORS = 100  # an argument that is wrong may be so for each item of a list

Error = Mapping[str, Any]


class Outcome(Enum):
    """What became of a request: the status of its reply, and the one that it has in the older media type."""

    EXECUTED = (HTTPStatus.OK, HTTPStatus.OK)
    """Carried out, be it with errors."""
    FAULTY = (HTTPStatus.BAD_REQUEST, HTTPStatus.OK)
    """The document or the variables are not right."""
    TOO_MUCH = (HTTPStatus.BAD_REQUEST, HTTPStatus.BAD_REQUEST)
    """The document asks for more than a document may."""
    NOT_BY_GET = (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.METHOD_NOT_ALLOWED)
    """It would change something, and came by a method that is for reading."""

    @property
    def status(self) -> HTTPStatus:
        """The status of the reply."""
        return self.value[0]

    @property
    def older_status(self) -> HTTPStatus:
        """The status of the reply in application/json."""
        return self.value[1]


class Request(NamedTuple):
    """A well-formed GraphQL request; digests of its idempotency key and of its body tell whether it is a repetition."""

    query: str
    operation_name: str | None = None
    variables: Mapping[str, Any] | None = None
    idempotency_key: bytes | None = None
    digest: bytes = b""
    read_only: bool = False


class Reply(NamedTuple):
    """The body of a reply, and what became of the request."""

    body: bytes
    outcome: Outcome


class Endpoint(NamedTuple):
    """What the endpoint of a deployment answers."""

    status: HTTPStatus
    facts: Mapping[str, Any]


class _Refused(Exception):  # noqa: N818 - an answer, and no fault of the program
    """The request as a whole is refused, for these reasons."""

    def __init__(self, errors: Sequence[Error], outcome: Outcome = Outcome.FAULTY) -> None:
        self.errors = errors
        self.outcome = outcome


class Engine:
    """Answers requests by executing them on the store of the context."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._schema = executable_schema()
        self._document = lru_cache(_DOCUMENTS_KEPT)(self._checked_document)  # refusals are not kept

    def close(self) -> None:
        """Closes the database."""
        self.context.database.close()

    def answer(self, request: Request) -> Reply:
        """The reply to a request, whether it is carried out or refused."""
        try:
            document, limits = self._document(request.query)
            operation = self._operation(document, request)
            refuse(limits.page_sizes(request.variables or {}), show_values=False)
            if operation.operation is OperationType.MUTATION:
                return self._change(document, request)
            with self.context.database.reading():
                return _reply(self._execute(document, request))
        except sqlite3.Error as error:  # at the beginning or the end of a transaction
            return _reply(ExecutionResult(None, [GraphQLError(str(error), original_error=error)]))
        except TooManyRowsError:
            message = f"This asks for more than {MOST_ROWS} rows; ask for smaller pages."
            return Reply(_body({"errors": [_error(message, Code.BAD_USER_INPUT)]}), Outcome.TOO_MUCH)
        except _Refused as refused:
            return Reply(_body({"errors": refused.errors}), refused.outcome)
        except Refusal as refusal:
            refused_for = {"message": str(refusal), "extensions": refusal.extensions}
            return Reply(_body({"errors": [refused_for]}), Outcome.FAULTY)

    def reconsider(self, name: str) -> None:
        """Has the runtime look again at the deployments of this name."""
        with self.context.database.writing():
            for deployment in self.context.store.deployments(Window.of({}, newest_first=True), name=name).rows:
                self.context.workloads.put_to_work(deployment["id"])

    def endpoint(self, deployment_id: str) -> Endpoint:
        """What the endpoint of a deployment answers: not found, not ready, or who serves."""
        with self.context.database.reading():
            deployment = self.context.store.deployments_by_id([deployment_id]).get(deployment_id)
            if deployment is None:
                return Endpoint(HTTPStatus.NOT_FOUND, {})
            serving = self.context.workloads.serving(deployment_id)
        facts = {
            "deployment": {"id": deployment_id, "name": deployment["name"]},
            "spec": {"id": serving.spec_id} if serving.spec_id else None,
            "simulated": self.context.workloads.simulated,
            "readyReplicas": serving.ready,
        }
        return Endpoint(HTTPStatus.OK if serving.ready else HTTPStatus.SERVICE_UNAVAILABLE, facts)

    def _checked_document(self, query: str) -> tuple[DocumentNode, Limits]:
        try:
            check_length(query)
            document = parse(query, max_lexical_tokens=MOST_TOKENS)
            limits = Limits(self._schema, document)
        except TooMuchError as error:
            raise _Refused([_error(str(error), Code.GRAPHQL_VALIDATION_FAILED)], Outcome.TOO_MUCH) from None
        except GraphQLError as error:
            raise _Refused([_coded(error, Code.GRAPHQL_PARSE_FAILED)]) from None
        if errors := validate(self._schema, document, max_errors=_MOST_ERRORS):
            raise _Refused([_coded(error, Code.GRAPHQL_VALIDATION_FAILED) for error in errors])
        return document, limits

    def _operation(self, document: DocumentNode, request: Request) -> OperationDefinitionNode:
        operation = get_operation_ast(document, request.operation_name)
        if operation is None:
            raise Refusal(
                Code.BAD_USER_INPUT,
                "The document has no operation of the name in operationName, or several and no operationName says which.",
                path="operationName",
            )
        if request.read_only and operation.operation is not OperationType.QUERY:
            message = "By GET nothing can be changed: send it by POST."
            raise _Refused([_error(message, Code.BAD_USER_INPUT)], Outcome.NOT_BY_GET)
        refuse(variable_problems(self._schema, operation, request.variables or {}), show_values=False)
        return operation

    def _change(self, document: DocumentNode, request: Request) -> Reply:
        """Executes a mutation: all of it or, if there is any error, nothing. A repetition gets the first reply."""
        store, key = self.context.store, request.idempotency_key
        with self.context.database.writing():
            if key is not None and (kept := store.reply_to(key, request.digest)) is not None:
                return Reply(kept, Outcome.EXECUTED)
            result = self._execute(document, request)
            if result.errors:
                self.context.database.undo()
                return _reply(ExecutionResult(None, result.errors))
            reply = _reply(result)
            if key is not None:
                store.keep_reply(key, request.digest, reply.body)
        return reply

    def _execute(self, document: DocumentNode, request: Request) -> ExecutionResult:
        return execute_sync(
            self._schema,
            document,
            context_value=self.context,
            variable_values=dict(request.variables or {}),
            operation_name=request.operation_name,
        )


def internal_error(error: BaseException) -> Error:
    """What the caller learns of a fault of ours: an id, by which its traceback is found in the log."""
    incident = str(uuid4())
    _log.error("internal error %s", incident, exc_info=error)
    extensions = {"code": Code.INTERNAL_SERVER_ERROR, "id": incident}
    return {"message": f"Internal error {incident}", "extensions": extensions}


def _reply(result: ExecutionResult) -> Reply:
    if not result.errors:
        return Reply(_body({"data": result.data}), Outcome.EXECUTED)
    return Reply(
        _body({"errors": [_described(error) for error in result.errors[:_MOST_FIELD_ERRORS]], "data": result.data}),
        Outcome.EXECUTED,
    )


def _described(error: GraphQLError) -> Error:
    """An error of the execution, as the caller is to see it."""
    cause = error.original_error
    if refusal := storage_refusal(cause):
        return {**error.formatted, "message": str(refusal), "extensions": refusal.extensions}
    if isinstance(cause, Refusal):
        return error.formatted
    if isinstance(cause, GraphQLError) and cause.nodes:
        # It points into the document: an argument whose value shows only now, through a variable within it.
        return _coded(error, Code.BAD_USER_INPUT)
    return {**error.formatted, **internal_error(cause or error)}


def _error(message: str, code: Code) -> Error:
    return {"message": message, "extensions": {"code": code}}


def _coded(error: GraphQLError, code: Code) -> Error:
    return {**error.formatted, "extensions": {"code": code}}


def _body(reply: Mapping[str, Any]) -> bytes:
    return json.dumps(reply, separators=(",", ":")).encode()
