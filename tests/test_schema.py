"""`schema.diff`, `schema.pull` and the commands `gradient schema` compare a server's schema with ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from graphql import build_schema, introspection_from_schema
from tests.altering_proxy import altered

from paperspace.gradient import SchemaError, schema
from paperspace.gradient.cli.main import main
from paperspace.gradient.server import LocalServer

PINNED = Path(__file__).parent.parent / "graphql/schema.graphql"
TEXT = PINNED.read_text(encoding="utf-8")


@pytest.fixture
def changed(tmp_path: Path) -> Any:
    """Writes a copy of the schema with one change, and returns its path."""

    def change(old: str, new: str) -> Path:
        assert old in TEXT
        path = tmp_path / "other.graphql"
        path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
        return path

    return change


def without_field(type_name: str, field: str) -> Any:
    """A change of a response that takes a field out of the introspection."""

    def change(response: dict[str, Any]) -> None:
        for entry in response["data"]["__schema"]["types"]:
            if entry["name"] == type_name:
                entry["fields"] = [item for item in entry["fields"] if item["name"] != field]

    return change


def test_same(environment: dict[str, str]) -> None:
    """For a server with our schema, diff reports nothing, and pull returns the same bytes."""
    url = environment["PAPERSPACE_API_URL"]
    assert schema.diff() == schema.diff(url) == schema.diff(PINNED) == schema.SchemaReport()
    assert schema.pull(url) == TEXT


def test_removed_field(changed: Any) -> None:
    """A removed field that an operation uses is a breaking change; the report has the file and line of the operation."""
    report = schema.diff(changed("  endpointUrl:", "  endpointUri:"))
    assert report.breaking == ("Field DeploymentSpec.endpointUrl was removed.",)
    reasons = "\n".join(report.invalid_operations)
    assert "operations/DeploymentSpecFields.graphql:11:3: Cannot query field" in reasons
    assert report.breaks_operations


def test_removed_field_that_is_not_used(changed: Any) -> None:
    """A removed field that no operation uses breaks no operation."""
    report = schema.diff(changed("  fqdn:", "  fqdm:"))
    assert report.breaking == ("Field Cluster.fqdn was removed.",)
    assert not report.breaks_operations
    assert "All operations of the library are valid." in str(report)


def test_kinds_of_changes(changed: Any) -> None:
    """A new enum value is dangerous; a new field and a changed description are safe."""
    assert schema.diff(changed("  http2\n", "  http2\n  http3\n")).dangerous == (
        "Enum value Protocol.http3 was added.",
    )
    [safe] = schema.diff(changed("  avatarUrl: String\n", "  avatarUrl: String\n  age: Int\n")).safe
    assert "age" in safe
    [safe] = schema.diff(changed("The author of a change.", "The author.")).safe
    assert "Actor" in safe


def test_live_server(server: LocalServer) -> None:
    """The schema of a live server is read by introspection."""
    with altered(server, response=without_field("DeploymentSpec", "endpointUrl")) as url:
        report = schema.diff(url, api_key=server.api_key)
    assert report.breaking == ("Field DeploymentSpec.endpointUrl was removed.",)
    assert report.breaks_operations


def test_introspection_file(tmp_path: Path) -> None:
    """The JSON result of an introspection is read, with or without `data` around it."""
    result = introspection_from_schema(build_schema(TEXT), specified_by_url=True, input_value_deprecation=True)
    for content in (result, {"data": result}):
        path = tmp_path / "introspection.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        assert not schema.diff(path).breaks_operations
        assert schema.diff(path).breaking == ()


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.graphql", "type Query {", r"a\.graphql:1:13: Syntax Error"),
        ("a.graphql", "type Query { a: B }", r"a\.graphql: Unknown type 'B'"),
        ("a.json", "{", r"a\.json is not a JSON introspection result"),
        ("a.json", "[]", r"a\.json is not a JSON introspection result"),
        ("a.json", "{}", r"invalid introspection result"),
        ("a.json", '{"data": {"__schema": {}}}', r"invalid introspection result"),
        ("a.json", "[" * 100_000, r"a\.json is not a JSON introspection result"),
        ("a.graphql", "type Other { a: String }", r"Query root type must be provided"),
        ("a.graphql", None, r"a\.graphql cannot be read: No such file"),
    ],
)
def test_nothing_to_compare_with(tmp_path: Path, name: str, content: str | None, complaint: str) -> None:
    """An invalid schema raises an error with its position."""
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(SchemaError, match=complaint):
        schema.diff(tmp_path / name)


def test_introspection_switched_off(server: LocalServer) -> None:
    """If a server does not allow introspection, the error says so."""

    def refuse(response: dict[str, Any]) -> None:
        response.clear()
        error = {"message": "Introspection is not allowed.", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}
        response["errors"] = [error]

    with (
        altered(server, response=refuse) as url,
        pytest.raises(SchemaError, match=r"is introspection disabled\?"),
    ):
        schema.pull(url, api_key=server.api_key)


class TestCommand:
    """The commands print the same, and their exit codes tell the result."""

    def test_diff(self, changed: Any, environment: dict[str, str]) -> None:
        """Exit code 0: no operation breaks; 8: one does; 1: the schema cannot be read."""
        run = CliRunner().invoke
        same = run(main, ["schema", "diff"], env=environment)
        assert (same.exit_code, same.stdout) == (0, "The schemas are the same.\n")
        broken = run(main, ["schema", "diff", str(changed("  endpointUrl:", "  endpointUri:"))])
        assert broken.exit_code == 8
        assert "DeploymentSpecFields.graphql:11:3" in broken.stdout
        nothing = run(main, ["schema", "diff", "nowhere.graphql"])
        assert (nothing.exit_code, nothing.stdout) == (1, "")
        assert nothing.stderr == (
            "Error: nowhere.graphql cannot be read: No such file or directory; to pass a URL, start it with http:// or https://\n"
        )

    def test_pull(self, tmp_path: Path, environment: dict[str, str]) -> None:
        """Only the schema is written, to stdout or to a file."""
        pulled = CliRunner().invoke(main, ["schema", "pull"], env=environment)
        assert (pulled.exit_code, pulled.stdout) == (0, TEXT)
        path = tmp_path / "schema.graphql"
        url = environment["PAPERSPACE_API_URL"]
        key = environment["PAPERSPACE_API_KEY"]
        written = CliRunner().invoke(main, ["schema", "pull", url, "--apiKey", key, "--output", str(path)])
        assert (written.exit_code, written.stdout) == (0, "")
        assert path.read_text(encoding="utf-8") == TEXT
        nowhere = CliRunner().invoke(main, ["schema", "pull", url, "--apiKey", key, "--output", "/nowhere/x"])
        assert (nowhere.exit_code, nowhere.stderr) == (
            1,
            "Error: cannot write /nowhere/x: No such file or directory\n",
        )
