"""Compare the GraphQL schema of a server with the one that this library was built for.

    >>> from paperspace.gradient import schema
    >>> report = schema.diff("graphql/schema.graphql")
    >>> report.broken_functions
    {}

The commands `gradient schema diff` and `gradient schema pull` do the same from the shell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphql import (
    GraphQLError,
    GraphQLSchema,
    Source,
    build_client_schema,
    build_schema,
    get_introspection_query,
    lexicographic_sort_schema,
    print_schema,
    validate_schema,
)
from pydantic_core import from_json

from paperspace.gradient._core.custom_operations import pinned_schema, with_position
from paperspace.gradient._core.defaults import DEFAULT_MAX_RESPONSE_BYTES
from paperspace.gradient._schema.changes import find_changes
from paperspace.gradient._schema.compatibility import broken_functions
from paperspace.gradient.client import Client
from paperspace.gradient.errors import BadRequestError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["SchemaReport", "diff", "pull"]

# The limit for a file is that for a response.
_MAX_BYTES = DEFAULT_MAX_RESPONSE_BYTES

# What older servers do not know: `isOneOf` is the latest addition to the specification.
_DETAILS = {
    "specified_by_url": True,
    "directive_is_repeatable": True,
    "schema_description": True,
    "input_value_deprecation": True,
}


@dataclass(frozen=True)
class SchemaReport:
    """The difference between a schema and the one that this library was built for, and its effect on the functions.

    Attributes:
        breaking: Changes that may break a client, such as a removed field.
        dangerous: Changes that may change the behaviour of a client, such as a new enum value or a new default.
        safe: Changes without effect on existing clients, such as a new field or a deprecation.
        descriptions: Changed descriptions. None: they were not compared.
        broken_functions: The functions that break, each with the reasons: file, line and column of an operation, and
            what is wrong there. `create_deployment(wait=True)` stands for the calls with this argument.

    Example:
        >>> from paperspace.gradient.schema import SchemaReport
        >>> print(SchemaReport(safe=("Field DeploymentSpec.region was added.",)))
        Safe changes:
          Field DeploymentSpec.region was added.
        All functions work with this schema.
    """

    breaking: tuple[str, ...] = ()
    dangerous: tuple[str, ...] = ()
    safe: tuple[str, ...] = ()
    descriptions: tuple[str, ...] | None = None
    broken_functions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        groups = {
            "Breaking changes": self.breaking,
            "Dangerous changes": self.dangerous,
            "Safe changes": self.safe,
            "Changed descriptions": self.descriptions or (),
            "Functions that break": tuple(self._breaks()),
        }
        texts = ["\n  ".join([f"{title}:", *entries]) for title, entries in groups.items() if entries]
        if not texts:
            return "The schemas are the same" + (", descriptions aside." if self.descriptions is None else ".")
        if not self.broken_functions:
            texts.append("All functions work with this schema.")
        return "\n".join(texts)

    def _breaks(self) -> Iterator[str]:
        """Yield the functions that break for the same reasons, with these reasons."""
        functions: dict[tuple[str, ...], list[str]] = {}
        for function, reasons in self.broken_functions.items():
            functions.setdefault(reasons, []).append(function)
        for reasons, names in functions.items():
            yield "\n    ".join([f"{', '.join(names)}:", *reasons])


def diff(source: str | Path | None = None, *, api_key: str | None = None, descriptions: bool = False) -> SchemaReport:
    """Compare a schema with the one that this library was built for, and find the functions that break.

    Args:
        source: The API URL of a server, the path of an SDL file, or the path of a `.json` file with an introspection
            result. None: the API URL from the environment or the configuration file.
        api_key: The API key for the server. None: from the environment or the configuration file.
        descriptions: Whether to compare descriptions too.

    Returns:
        The changes, and the functions that break.

    Raises:
        SchemaError: The file cannot be read, or contains no valid schema; or the server does not allow introspection.
        ConfigurationError: A server is needed, and a setting is missing or invalid.
        APIError: The request to the server failed.

    Example:
        >>> from paperspace.gradient import schema
        >>> print(schema.diff(descriptions=True))
        The schemas are the same.
    """
    if source is None or is_url(source):
        with Client(api_key, None if source is None else str(source)) as client:
            return compare(fetch(client), descriptions=descriptions)
    return compare(read_file(source), descriptions=descriptions)


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


def compare(other: GraphQLSchema, *, descriptions: bool = False) -> SchemaReport:
    """Compare a schema with the one that this library was built for."""
    changes = find_changes(pinned_schema(), other)
    return SchemaReport(
        tuple(changes.breaking),
        tuple(changes.dangerous),
        tuple(changes.safe),
        tuple(changes.descriptions) if descriptions else None,
        broken_functions(pinned_schema(), other),
    )


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
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
        text = content.decode()
    except (OSError, ValueError) as error:  # a ValueError: not UTF-8, or not a path
        reason = getattr(error, "strerror", None) or ("not UTF-8" if isinstance(error, UnicodeDecodeError) else error)
        raise SchemaError(
            f"{source!s} cannot be read: {reason}; to pass a URL, start it with http:// or https://"
        ) from error
    if len(content) > _MAX_BYTES:
        raise SchemaError(f"{source!s} cannot be read: larger than {_MAX_BYTES} bytes")
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
        content = from_json(text, allow_inf_nan=False)  # as for a response: also with its limit for nested lists
        data = content.get("data", content)
    except (ValueError, AttributeError) as error:
        raise SchemaError(f"{path} is not a JSON introspection result") from error
    return _from_introspection(data)


def _from_introspection(data: Any) -> GraphQLSchema:
    try:
        return _validated(build_client_schema(data))
    except (GraphQLError, TypeError, KeyError, AttributeError) as error:
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
    for options in ({**_DETAILS, "one_of": True}, _DETAILS, {}):
        try:
            return _from_introspection(client.execute(get_introspection_query(**options), check=False))
        except BadRequestError as error:
            rejection = error
    message = f"the server rejected the introspection query; is introspection disabled? ({rejection})"
    raise SchemaError(message) from rejection
