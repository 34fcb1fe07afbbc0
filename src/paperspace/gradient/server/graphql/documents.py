"""Documents of GraphQL requests: parsed, validated, and within the limits."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from graphql import (
    DocumentNode,
    GraphQLError,
    ValuesOfCorrectTypeRule,
    parse,
    specified_rules,
    validate,
)

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient.server.errors import ApplicationError
from paperspace.gradient.server.graphql.limits import MAX_TOKENS, DocumentLimits, LimitExceededError, check_length
from paperspace.gradient.server.graphql.responses import ErrorData, Outcome, error_data, with_code
from paperspace.gradient.server.graphql.schema import executable_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

_DOCUMENT_CACHE_SIZE = 128  # programs send the same few documents many times
_MAX_VALIDATION_ERRORS = 5  # the suggestions in each message can take milliseconds


class _ValueRule(ValuesOfCorrectTypeRule):
    """Give an invalid value in the document the code that it has in the variables."""

    def report_error(self, error: GraphQLError) -> None:
        error.extensions = {"code": Code.BAD_USER_INPUT}
        super().report_error(error)


_RULES = tuple(_ValueRule if rule is ValuesOfCorrectTypeRule else rule for rule in specified_rules)


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
            limit_error = error_data(str(error), Code.GRAPHQL_VALIDATION_FAILED)
            raise GraphQLRequestError([limit_error], Outcome.LIMIT_EXCEEDED) from None
        except ApplicationError as error:
            raise GraphQLRequestError([{"message": str(error), "extensions": error.extensions}]) from None
        except GraphQLError as error:
            raise GraphQLRequestError([with_code(error, Code.GRAPHQL_PARSE_FAILED)]) from None
        if errors := validate(self._schema, document, _RULES, max_errors=_MAX_VALIDATION_ERRORS):
            codes = [(error.extensions or {}).get("code", Code.GRAPHQL_VALIDATION_FAILED) for error in errors]
            raise GraphQLRequestError([with_code(*pair) for pair in zip(errors, codes, strict=True)])
        return document, limits
