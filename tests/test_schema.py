"""`gradient schema` tells what a server's schema means for us."""

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
                entry["fields"] = [found for found in entry["fields"] if found["name"] != field]

    return change


def test_same(environment: dict[str, str]) -> None:
    """A server with our schema differs in nothing, and its schema is pulled byte for byte."""
    url = environment["PAPERSPACE_API_URL"]
    assert schema.diff() == schema.diff(url) == schema.diff(PINNED) == schema.SchemaReport()
    assert schema.pull(url) == TEXT


def test_field_that_is_gone(changed: Any) -> None:
    """A field of ours that is gone is a breaking change, and names the operation's file and line that need it."""
    report = schema.diff(changed("  endpointUrl:", "  endpointUri:"))
    assert report.breaking == ("Field DeploymentSpec.endpointUrl was removed.",)
    reasons = "\n".join(report.invalid_operations)
    assert "operations/DeploymentSpecFields.graphql:11:3: Cannot query field" in reasons
    assert report.breaks_operations


def test_field_that_we_do_not_need(changed: Any) -> None:
    """A field that no operation asks for may go without breaking us."""
    report = schema.diff(changed("  avatarUrl:", "  avatarUri:"))
    assert report.breaking == ("Field Actor.avatarUrl was removed.",)
    assert not report.breaks_operations
    assert "All our operations stay valid." in str(report)


def test_kinds_of_changes(changed: Any) -> None:
    """A value more is dangerous, a field more and another description are safe."""
    assert schema.diff(changed("  http2\n", "  http2\n  http3\n")).dangerous == (
        "Enum value Protocol.http3 was added.",
    )
    [safe] = schema.diff(changed("  avatarUrl: String\n", "  avatarUrl: String\n  age: Int\n")).safe
    assert "age" in safe
    [safe] = schema.diff(changed("The author of a change.", "The author.")).safe
    assert "Actor" in safe


def test_live_server(server: LocalServer) -> None:
    """A live server is asked by introspection."""
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
        ("a.json", "{", r"a\.json is not the JSON result"),
        ("a.json", "[]", r"a\.json is not the JSON result"),
        ("a.json", "{}", r"the introspection gives no schema"),
        ("a.json", '{"data": {"__schema": {}}}', r"the introspection gives no schema"),
        ("a.json", "[" * 100_000, r"a\.json is not the JSON result"),
        ("a.graphql", "type Other { a: String }", r"Query root type must be provided"),
        ("a.graphql", None, r"a\.graphql cannot be read: No such file"),
    ],
)
def test_nothing_to_compare_with(tmp_path: Path, name: str, content: str | None, complaint: str) -> None:
    """What is no schema is refused with the place."""
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(SchemaError, match=complaint):
        schema.diff(tmp_path / name)


def test_introspection_switched_off(server: LocalServer) -> None:
    """A server that does not tell its schema is named as such."""

    def refuse(response: dict[str, Any]) -> None:
        response.clear()
        error = {"message": "Introspection is not allowed.", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}
        response["errors"] = [error]

    with (
        altered(server, response=refuse) as url,
        pytest.raises(SchemaError, match="introspection seems to be switched off"),
    ):
        schema.pull(url, api_key=server.api_key)


class TestCommand:
    """The command says the same, with its exit codes."""

    def test_diff(self, changed: Any, environment: dict[str, str]) -> None:
        """0 where nothing breaks us, 8 where an operation would, 1 where there is nothing to compare with."""
        run = CliRunner().invoke
        same = run(main, ["schema", "diff"], env=environment)
        assert (same.exit_code, same.stdout) == (0, "The schemas are the same.\n")
        broken = run(main, ["schema", "diff", str(changed("  endpointUrl:", "  endpointUri:"))])
        assert broken.exit_code == 8
        assert "DeploymentSpecFields.graphql:11:3" in broken.stdout
        nothing = run(main, ["schema", "diff", "nowhere.graphql"])
        assert (nothing.exit_code, nothing.stdout) == (1, "")
        assert nothing.stderr == (
            "Error: nowhere.graphql cannot be read: No such file or directory; a URL begins with http:// or https://\n"
        )

    def test_pull(self, tmp_path: Path, environment: dict[str, str]) -> None:
        """The schema goes to stdout, or into a file, and nothing else does."""
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
