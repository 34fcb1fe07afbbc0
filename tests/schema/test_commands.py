"""`schema.diff`, `schema.pull` and the commands `gradient schema` compare a server's schema with ours."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from graphql import build_schema, introspection_from_schema
from tests.altering_proxy import altered
from tools import TOP

from paperspace.gradient import SchemaError, schema
from paperspace.gradient._core.defaults import DEFAULT_MAX_RESPONSE_BYTES
from paperspace.gradient.cli.main import main
from paperspace.gradient.server import LocalServer

PINNED = TOP / "graphql/schema.graphql"
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
    assert schema.diff(descriptions=True) == schema.SchemaReport(descriptions=())
    assert schema.pull(url) == TEXT


def test_removed_field(changed: Any) -> None:
    """A removed field that an operation uses is a breaking change; the report has the file and line of the operation."""
    report = schema.diff(changed("  endpointUrl:", "  endpointUri:"))
    assert report.breaking == ("Field DeploymentSpec.endpointUrl was removed.",)
    [reason] = report.broken_functions["get_deployment"]
    assert "operations/DeploymentSpecFields.graphql:11:3: Cannot query field" in reason


def test_removed_field_that_is_not_used(changed: Any) -> None:
    """A removed field that no operation uses breaks no function."""
    report = schema.diff(changed("  fqdn:", "  fqdm:"))
    assert report.breaking == ("Field Cluster.fqdn was removed.",)
    assert report.broken_functions == {}
    assert "All functions work with this schema." in str(report)


def test_kinds_of_changes(changed: Any) -> None:
    """A new enum value is dangerous; a new field is safe."""
    assert schema.diff(changed("  http2\n", "  http2\n  http3\n")).dangerous == (
        "Enum value Protocol.http3 was added.",
    )
    [safe] = schema.diff(changed("  avatarUrl: String\n", "  avatarUrl: String\n  age: Int\n")).safe
    assert "age" in safe


@pytest.mark.parametrize(
    ("old", "new", "group", "expected"),
    [
        (
            "endpointUrl: String!",
            'endpointUrl: String! @deprecated(reason: "Old.")',
            "safe",
            "DeploymentSpec.endpointUrl is deprecated: Old.",
        ),
        (
            ' @deprecated(reason: "Use deployment.deploymentRollouts.")',
            "",
            "safe",
            "DeploymentSpec.deploymentRuns is not deprecated any more.",
        ),
        ("Use deployment.deploymentRollouts.", "No.", "safe", "DeploymentSpec.deploymentRuns is deprecated: No."),
        ("  http2\n", "  http2 @deprecated\n", "safe", "Protocol.http2 is deprecated: No longer supported"),
        (
            "    name: String\n",
            "    name: String @deprecated\n",
            "safe",
            "Query.deployments(name:) is deprecated: No longer",
        ),
        (
            "\n  dataset: String\n",
            "\n  dataset: String @deprecated\n",
            "safe",
            "DeploymentSpecRepositories",
        ),
        (
            "www.rfc-editor.org",
            "example.org",
            "dangerous",
            "Scalar UUID is specified by https://example.org/rfc/rfc9562 now.",
        ),
        (
            "input DeploymentSpecResourcesInput",
            "input DeploymentSpecResourcesInput @oneOf",
            "breaking",
            "Input type DeploymentSpecResourcesInput is @oneOf now: it takes exactly one field.",
        ),
    ],
)
def test_changes_by_directives(changed: Any, old: str, new: str, group: str, expected: str) -> None:
    """Deprecations are safe, another specification of a scalar is dangerous, and @oneOf breaks clients."""
    report = schema.diff(changed(old, new))
    [text] = getattr(report, group)
    assert text.startswith(expected)
    assert report.breaking + report.dangerous + report.safe == (text,)


@pytest.mark.parametrize(
    ("roots", "group", "expected"),
    [
        ("query: Query", "breaking", "The schema has no mutation type any more; it was Mutation."),
        ("query: Cluster mutation: Mutation", "breaking", "The query type changed from Query to Cluster."),
        (
            "query: Query mutation: Mutation subscription: Cluster",
            "safe",
            "The schema has a subscription type now: Cluster.",
        ),
    ],
)
def test_types_of_operations(changed: Any, roots: str, group: str, expected: str) -> None:
    """A schema that has the same types, but other ones for queries and mutations, breaks clients; more kinds of operations are safe."""
    report = schema.diff(changed('"""The author of a change."""', f"schema {{ {roots} }}"))
    assert getattr(report, group) == (expected,)
    assert report.breaking + report.dangerous + report.safe == (expected,)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "    projectId: String\n",
            '    projectId: String = "p1"\n',
            'Query.deployments(projectId:) added a defaultValue "p1".',
        ),
        (
            "  clusterId: String\n",
            '  clusterId: String = "c1"\n',
            'CreateDeploymentInput.clusterId added a defaultValue "c1".',
        ),
    ],
)
def test_new_default(changed: Any, old: str, new: str, expected: str) -> None:
    """A default of an argument or input field that had none is dangerous: it applies to all clients that leave it out."""
    report = schema.diff(changed(old, new))
    assert (report.breaking, report.dangerous, report.safe) == ((), (expected,), ())


def test_directives_of_older_servers(changed: Any) -> None:
    """A server that allows @deprecated in fewer places than the specification now does is the same for clients."""
    directive = 'directive @deprecated(reason: String = "No longer supported") on FIELD_DEFINITION | ENUM_VALUE'
    assert schema.diff(changed('"""The author of a change."""', directive)) == schema.SchemaReport()


def test_descriptions(changed: Any) -> None:
    """Changed descriptions are reported only on request."""
    path = changed("The author of a change.", "The author.")
    assert str(schema.diff(path)) == "The schemas are the same, descriptions aside."
    report = schema.diff(path, descriptions=True)
    assert report.descriptions == ('Description of Actor has changed to "The author.".',)
    assert str(report) == (
        'Changed descriptions:\n  Description of Actor has changed to "The author.".\n'
        "All functions work with this schema."
    )
    shown = CliRunner().invoke(main, ["schema", "diff", str(path), "--descriptions"])
    assert (shown.exit_code, shown.stdout) == (0, f"{report}\n")


@pytest.mark.parametrize("unknown", ["isOneOf", "specifiedByURL"])
def test_older_server(server: LocalServer, unknown: str) -> None:
    """A server that knows neither @oneOf nor @specifiedBy is compared without them, and nothing else."""
    queries = []

    def record(request: dict[str, Any]) -> None:
        queries.append(request["query"])

    def reject(response: dict[str, Any]) -> None:
        if unknown in queries[-1]:
            response.clear()
            message = f"Cannot query field '{unknown}' on type '__Type'."
            response["errors"] = [{"message": message, "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}]
        else:
            directives = response["data"]["__schema"]["directives"]
            response["data"]["__schema"]["directives"] = [
                entry for entry in directives if entry["name"] not in {"oneOf", "specifiedBy"}
            ]

    with altered(server, request=record, response=reject) as url:
        assert schema.diff(url, api_key=server.api_key) == schema.SchemaReport()


def test_report_groups_functions(changed: Any) -> None:
    """The report has each reason once, with all functions that break for it."""
    report = str(schema.diff(changed("  endpointUrl: String!", "  endpointUrl: String")))
    assert (
        report.count("DeploymentSpecFields.graphql:11:3: DeploymentSpec.endpointUrl: expected String!, got String") == 1
    )
    functions = "get_deployment, iter_deployments, list_deployments, update_deployment"
    assert f"\n  any call with name= in place of an id, {functions}:\n    " in report
    assert "All functions work" not in report


def test_live_server(server: LocalServer) -> None:
    """The schema of a live server is read by introspection."""
    with altered(server, response=without_field("DeploymentSpec", "endpointUrl")) as url:
        report = schema.diff(url, api_key=server.api_key)
    assert report.breaking == ("Field DeploymentSpec.endpointUrl was removed.",)
    assert "get_deployment" in report.broken_functions


def test_introspection_file(tmp_path: Path) -> None:
    """The JSON result of an introspection is read, with or without `data` around it."""
    result = introspection_from_schema(build_schema(TEXT), specified_by_url=True, input_value_deprecation=True)
    for content in (result, {"data": result}):
        path = tmp_path / "introspection.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        assert schema.diff(path).broken_functions == {}
        assert schema.diff(path).breaking == ()


def test_nested_lists(tmp_path: Path) -> None:
    """A file with a type of many nested lists is refused, as such a response is. One with fewer can be compared and printed."""
    result: Any = introspection_from_schema(build_schema(TEXT))
    [deployment] = [entry for entry in result["__schema"]["types"] if entry["name"] == "Deployment"]
    [name] = [field for field in deployment["fields"] if field["name"] == "name"]
    name["type"] = "TYPE"
    path = tmp_path / "introspection.json"

    def write(lists: int) -> None:
        nested = '{"kind": "LIST", "ofType": ' * lists + '{"kind": "SCALAR", "name": "Int"}' + "}" * lists
        path.write_text(json.dumps(result).replace('"TYPE"', nested), encoding="utf-8")

    write(150)
    assert "[" * 150 in str(schema.diff(path))
    assert "[" * 150 in schema.to_sdl(schema.read_file(path))
    write(480)
    with pytest.raises(SchemaError, match="is not a JSON introspection result"):
        schema.diff(path)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.graphql", "type Query {", r"a\.graphql:1:13: Syntax Error"),
        ("a.graphql", "type Query { a: B }", r"a\.graphql: Unknown type 'B'"),
        ("a.json", "{", r"a\.json is not a JSON introspection result"),
        ("a.json", "[]", r"a\.json is not a JSON introspection result"),
        ("a.json", "{}", r"invalid introspection result"),
        ("a.json", '{"data": {"__schema": {}}}', r"invalid introspection result"),
        ("a.json", '{"data": {"__schema": {"types": [], "directives": [5]}}}', r"invalid introspection result"),
        ("a.json", "[" * 100_000, r"a\.json is not a JSON introspection result"),
        ("a.graphql", "type Other { a: String }", r"Query root type must be provided"),
        ("a.graphql", None, r"a\.graphql cannot be read: No such file"),
        ("a\0.graphql", None, "cannot be read: embedded null byte"),
    ],
)
def test_nothing_to_compare_with(tmp_path: Path, name: str, content: str | None, complaint: str) -> None:
    """An invalid schema raises an error with its position."""
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(SchemaError, match=complaint):
        schema.diff(tmp_path / name)


def test_file_that_is_too_large(tmp_path: Path) -> None:
    """A file is read only up to the limit for responses, as it may be a device without an end."""
    with (tmp_path / "a.graphql").open("wb") as file:
        file.truncate(DEFAULT_MAX_RESPONSE_BYTES + 1)
    with pytest.raises(
        SchemaError, match=rf"a\.graphql cannot be read: larger than {DEFAULT_MAX_RESPONSE_BYTES} bytes"
    ):
        schema.diff(tmp_path / "a.graphql")


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
        """Exit code 0: no function breaks; 8: one does; 1: the schema cannot be read."""
        run = CliRunner().invoke
        same = run(main, ["schema", "diff"], env=environment)
        assert (same.exit_code, same.stdout) == (0, "The schemas are the same, descriptions aside.\n")
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

    @pytest.mark.parametrize("existing", [False, True])
    def test_full_disk(self, tmp_path: Path, *, existing: bool) -> None:
        """If the disk is full, the file is what it was before: it has its old content, or does not exist."""
        script = (
            "import resource\n"
            "from paperspace.gradient.cli.main import main\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
            "main()"
        )
        path = tmp_path / "spec.json"
        if existing:
            path.write_text("old")
        command = [sys.executable, "-c", script, "schema", "spec", "--output", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, f"Error: cannot write {path}: File too large\n")
        assert [file.read_text() for file in tmp_path.iterdir()] == ["old"] * existing

    def test_existing_file(self, tmp_path: Path) -> None:
        """A file that is written again keeps its permissions, and a symbolic link to it. A new file has the usual ones."""
        path, link, new = tmp_path / "spec.json", tmp_path / "link.json", tmp_path / "new.json"
        path.touch()
        path.chmod(0o620)
        link.symlink_to(path.name)
        for file in (link, new):
            assert CliRunner().invoke(main, ["schema", "spec", "--output", str(file)]).exit_code == 0
        assert path.read_bytes() == new.read_bytes() == link.read_bytes() != b""
        assert stat.S_IMODE(path.stat().st_mode) == 0o620
        usual = tmp_path / "usual"
        usual.touch()
        assert new.stat().st_mode == usual.stat().st_mode
        assert sorted(tmp_path.iterdir()) == sorted([path, link, new, usual])

    def test_no_regular_file(self, tmp_path: Path) -> None:
        """A file that is a pipe is written as it is."""
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        try:
            assert CliRunner().invoke(main, ["schema", "spec", "--output", str(pipe)]).exit_code == 0
            assert json.loads(os.read(reader, 1_000_000))["title"] == "A Gradient deployment spec"
        finally:
            os.close(reader)
