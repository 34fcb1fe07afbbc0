"""The schema of a server, compared with the one that this library was made for.

    >>> from paperspace.gradient import schema
    >>> report = schema.diff("graphql/schema.graphql")
    >>> report.breaks_operations
    False

`gradient schema diff` and `gradient schema pull` do the same from the shell.
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
    """How a schema differs from the checked-in one, and what that means for our operations.

    Attributes:
        breaking: Changes that may break a client.
        dangerous: Changes that may change what a client sees.
        safe: Changes that no client notices unless it asks.
        invalid_operations: Why operations of ours are not valid any more, each with file, line and column.

    Example:
        >>> from paperspace.gradient.schema import SchemaReport
        >>> print(SchemaReport(safe=("Field DeploymentSpec.region was added.",)))
        Safe changes:
          Field DeploymentSpec.region was added.
        All our operations stay valid.
    """

    breaking: tuple[str, ...] = ()
    dangerous: tuple[str, ...] = ()
    safe: tuple[str, ...] = ()
    invalid_operations: tuple[str, ...] = ()

    @property
    def breaks_operations(self) -> bool:
        """Whether an operation of ours would stop being valid.

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
            "Operations that are not valid any more": self.invalid_operations,
        }
        texts = ["\n  ".join([f"{title}:", *entries]) for title, entries in groups.items() if entries]
        if not texts:
            return "The schemas are the same."
        if not self.breaks_operations:
            texts.append("All our operations stay valid.")
        return "\n".join(texts)


def diff(source: str | Path | None = None, *, api_key: str | None = None) -> SchemaReport:
    """Compares a schema with the checked-in one.

    Args:
        source: The URL of a server, the path of a file with SDL, or the path of a `.json` file with the result of an
            introspection. None: the server that the environment names.
        api_key: The API key for a server. None: that of the environment.

    Raises:
        SchemaError: The schema cannot be had, or is none.
        APIError: The server cannot be asked.

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
    """The schema of a server as canonical SDL: sorted, with its descriptions.

    Args:
        url: The URL of the server. None: the server that the environment names.
        api_key: The API key. None: that of the environment.

    Raises:
        SchemaError: The server does not tell its schema.
        APIError: The server cannot be asked.

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
        raise SchemaError(f"{source!s} cannot be read: {reason}; a URL begins with http:// or https://") from error
    return _from_json(text, path) if path.suffix == ".json" else _from_sdl(text, path)


def _from_sdl(text: str, path: Path) -> GraphQLSchema:
    try:
        return _sound(build_schema(Source(text, str(path))))
    except GraphQLError as error:
        raise SchemaError(f"no GraphQL schema: {with_position(error)}") from error
    except TypeError as error:
        raise SchemaError(f"no GraphQL schema: {path}: {error}") from error


def _from_json(text: str, path: Path) -> GraphQLSchema:
    try:
        content = json.loads(text)
        return _from_introspection(content.get("data", content))
    except (ValueError, AttributeError, RecursionError) as error:
        raise SchemaError(f"{path} is not the JSON result of an introspection") from error


def _from_introspection(data: Any) -> GraphQLSchema:
    try:
        return _sound(build_client_schema(data))
    except (GraphQLError, TypeError, KeyError) as error:
        raise SchemaError(f"the introspection gives no schema: {error}") from error


def _sound(schema: GraphQLSchema) -> GraphQLSchema:
    """The schema, where it is one that could be queried."""
    errors = validate_schema(schema)
    if errors:
        raise SchemaError("no GraphQL schema: " + "; ".join(with_position(error) for error in errors))
    return schema


def fetch(client: Client) -> GraphQLSchema:
    """Fetch the schema of a server: with all details first, then with those that older servers support.

    Raises:
        SchemaError: the server does not return its schema.
        APIError: the call failed.
    """
    everything = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
    )
    try:
        data = client.execute(everything, check=False)
    except BadRequestError:
        try:
            data = client.execute(get_introspection_query(), check=False)
        except BadRequestError as error:
            message = f"the server does not tell its schema; introspection seems to be switched off there: {error}"
            raise SchemaError(message) from error
    return _from_introspection(data)


def _invalid_operations(schema: GraphQLSchema) -> tuple[str, ...]:
    """Why operations of ours are not valid against a schema."""
    paths = sorted((graphql_folder() / "operations").glob("*.graphql"))
    documents = [parse(Source(path.read_text(encoding="utf-8"), str(path))) for path in paths]
    return tuple(with_position(error) for error in validate(schema, concat_ast(documents)))
