"""Compare the GraphQL schema of a server with the one that this library was built for.

    >>> from paperspace.gradient import schema
    >>> report = schema.diff("graphql/schema.graphql")
    >>> report.breaks_operations
    False

The commands `gradient schema diff` and `gradient schema pull` do the same from the shell.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphql import (
    BreakingChange,
    DangerousChange,
    GraphQLError,
    GraphQLSchema,
    Source,
    build_client_schema,
    build_schema,
    concat_ast,
    find_schema_changes,
    get_introspection_query,
    lexicographic_sort_schema,
    parse,
    print_schema,
    validate,
    validate_schema,
)

from paperspace.gradient._core.custom_operations import pinned_schema, with_position
from paperspace.gradient._shared.graphql_files import graphql_folder
from paperspace.gradient.client import Client
from paperspace.gradient.errors import BadRequestError, SchemaError

__all__ = ["SchemaReport", "diff", "pull"]


@dataclass(frozen=True)
class SchemaReport:
    """The difference between a schema and the checked-in one, and its effect on the library's operations.

    Attributes:
        breaking: Changes that may break a client, such as a removed field.
        dangerous: Changes that may change the behaviour of a client, such as a new enum value.
        safe: Changes without effect on existing clients, such as a new field.
        invalid_operations: Errors of the library's operations that are not valid any more, each with file, line and
            column.

    Example:
        >>> from paperspace.gradient.schema import SchemaReport
        >>> print(SchemaReport(safe=("Field DeploymentSpec.region was added.",)))
        Safe changes:
          Field DeploymentSpec.region was added.
        All operations of the library are valid.
    """

    breaking: tuple[str, ...] = ()
    dangerous: tuple[str, ...] = ()
    safe: tuple[str, ...] = ()
    invalid_operations: tuple[str, ...] = ()

    @property
    def breaks_operations(self) -> bool:
        """Whether an operation of the library is not valid any more.

        Example:
            >>> from paperspace.gradient.schema import SchemaReport
            >>> SchemaReport(breaking=("Field Query.deployment was removed.",)).breaks_operations
            False
        """
        return bool(self.invalid_operations)

    def __str__(self) -> str:
        groups = {
            "Breaking changes": self.breaking,
            "Dangerous changes": self.dangerous,
            "Safe changes": self.safe,
            "Invalid operations of the library": self.invalid_operations,
        }
        texts = ["\n  ".join([f"{title}:", *entries]) for title, entries in groups.items() if entries]
        if not texts:
            return "The schemas are the same."
        if not self.breaks_operations:
            texts.append("All operations of the library are valid.")
        return "\n".join(texts)


def diff(source: str | Path | None = None, *, api_key: str | None = None) -> SchemaReport:
    """Compare a schema with the checked-in one.

    Args:
        source: The API URL of a server, the path of an SDL file, or the path of a `.json` file with an introspection
            result. None: the API URL from the environment or the configuration file.
        api_key: The API key for the server. None: from the environment or the configuration file.

    Returns:
        The changes, and whether they break the library.

    Raises:
        SchemaError: The file cannot be read, or contains no valid schema; or the server does not allow introspection.
        ConfigurationError: A server is needed, and a setting is missing or invalid.
        APIError: The request to the server failed.

    Example:
        >>> from paperspace.gradient import schema
        >>> print(schema.diff())
        The schemas are the same.
    """
    if source is None or is_url(source):
        with Client(api_key, None if source is None else str(source)) as client:
            return compare(fetch(client))
    return compare(read_file(source))


def pull(url: str | None = None, *, api_key: str | None = None) -> str:
    """Fetch the schema of a server.

    Args:
        url: The API URL of the server. None: from the environment or the configuration file.
        api_key: The API key. None: from the environment or the configuration file.

    Returns:
        The schema as canonical SDL, sorted and with descriptions.

    Raises:
        SchemaError: The server does not allow introspection, or its schema is invalid.
        ConfigurationError: A setting is missing or invalid.
        APIError: The request failed.

    Example:
        >>> from pathlib import Path
        >>> from paperspace.gradient import schema
        >>> schema.pull() == Path("graphql/schema.graphql").read_text()
        True
    """
    with Client(api_key, url) as client:
        return to_sdl(fetch(client))


def compare(other: GraphQLSchema) -> SchemaReport:
    """Compare a schema with the checked-in one."""
    changes = find_schema_changes(pinned_schema(), other)
    breaking = [change.description for change in changes if isinstance(change, BreakingChange)]
    dangerous = [change.description for change in changes if isinstance(change, DangerousChange)]
    safe = [change.description for change in changes if not isinstance(change, BreakingChange | DangerousChange)]
    return SchemaReport(tuple(breaking), tuple(dangerous), tuple(safe), _invalid_operations(other))


def to_sdl(schema: GraphQLSchema) -> str:
    """Return a schema as canonical SDL."""
    return print_schema(lexicographic_sort_schema(schema)) + "\n"


def is_url(source: str | Path) -> bool:
    """Return whether the source of a schema is a URL, not a file."""
    return "://" in str(source)


def read_file(source: str | Path) -> GraphQLSchema:
    """Read a schema from a file.

    Raises:
        SchemaError: the file cannot be read, or is not a schema.
    """
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise SchemaError(
            f"{source!s} cannot be read: {reason}; to pass a URL, start it with http:// or https://"
        ) from error
    return _from_json(text, path) if path.suffix == ".json" else _from_sdl(text, path)


def _from_sdl(text: str, path: Path) -> GraphQLSchema:
    try:
        return _validated(build_schema(Source(text, str(path))))
    except GraphQLError as error:
        raise SchemaError(f"invalid GraphQL schema: {with_position(error)}") from error
    except TypeError as error:
        raise SchemaError(f"invalid GraphQL schema: {path}: {error}") from error


def _from_json(text: str, path: Path) -> GraphQLSchema:
    try:
        content = json.loads(text)
        return _from_introspection(content.get("data", content))
    except (ValueError, AttributeError, RecursionError) as error:
        raise SchemaError(f"{path} is not a JSON introspection result") from error


def _from_introspection(data: Any) -> GraphQLSchema:
    try:
        return _validated(build_client_schema(data))
    except (GraphQLError, TypeError, KeyError) as error:
        raise SchemaError(f"invalid introspection result: {error}") from error


def _validated(schema: GraphQLSchema) -> GraphQLSchema:
    """Return the schema if it is valid."""
    errors = validate_schema(schema)
    if errors:
        raise SchemaError("invalid GraphQL schema: " + "; ".join(with_position(error) for error in errors))
    return schema


def fetch(client: Client) -> GraphQLSchema:
    """Fetch the schema of a server: with all details first, then with those that older servers support.

    Raises:
        SchemaError: the server does not return its schema.
        APIError: the call failed.
    """
    full_query = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
    )
    try:
        data = client.execute(full_query, check=False)
    except BadRequestError:
        try:
            data = client.execute(get_introspection_query(), check=False)
        except BadRequestError as error:
            message = f"the server rejected the introspection query; is introspection disabled? ({error})"
            raise SchemaError(message) from error
    return _from_introspection(data)


def _invalid_operations(schema: GraphQLSchema) -> tuple[str, ...]:
    """Validate the library's operations against a schema, and return the errors."""
    paths = sorted((graphql_folder() / "operations").glob("*.graphql"))
    documents = [parse(Source(path.read_text(encoding="utf-8"), str(path))) for path in paths]
    return tuple(with_position(error) for error in validate(schema, concat_ast(documents)))
