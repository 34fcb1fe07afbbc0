"""`scripts/regenerate`: generated code, its check, and errors in the GraphQL files."""

from __future__ import annotations

import ast
import json
import re
import shutil
import site
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from graphql import build_client_schema, build_schema, introspection_from_schema, print_schema
from tests.samples import run_module
from tools import TOP

GENERATED = TOP / "src/paperspace/gradient/_generated"


class Copies:
    """Copies of the GraphQL files and of the generated folder, for a test to change."""

    def __init__(self, folder: Path) -> None:
        self.graphql = folder / "graphql"
        self.output = folder / "_generated"
        shutil.copytree(TOP / "graphql", self.graphql)
        shutil.copytree(GENERATED, self.output, ignore=shutil.ignore_patterns("__pycache__"))

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the first occurrence of a text in a GraphQL file."""
        path = self.graphql / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the command on the copies."""
        folders = ["--graphql", str(self.graphql), "--output", str(self.output)]
        return run_module("tools.codegen.regenerate", *folders, *options)

    def files(self) -> dict[str, str]:
        """Return the text of each generated file, by name."""
        return {path.name: path.read_text(encoding="utf-8") for path in self.output.iterdir() if path.is_file()}


@pytest.fixture
def copies(tmp_path: Path) -> Copies:
    return Copies(tmp_path)


def test_check_passes_up_to_date(copies: Copies) -> None:
    """--check of unchanged files prints nothing and exits with 0."""
    done = copies.run("--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_writing_changes_nothing_up_to_date(copies: Copies) -> None:
    """Writing unchanged files twice gives the same bytes."""
    before = copies.files()
    assert copies.run().returncode == 0
    assert copies.run().returncode == 0
    assert copies.files() == before


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("First and last name.", "The name, first and last.", "The name, first and last."),
        ("  fullName: String\n", "  fullName: String!\n", "+    fullName: str\n"),
        ("image: String!", "image: [String!]", "+    image: list[str] | None"),
        (
            '  port: Int\n\n  """The protocol that the container speaks on its port. Null: http."""\n  protocol: Protocol\n\n  """Git repositories to clone before the container starts. Null: none."""\n  repositories: DeploymentSpecRepositoriesInput',
            "  port: Int!\n\n  protocol: Protocol\n\n  repositories: DeploymentSpecRepositoriesInput",
            "+    port: int\n",
        ),
        ("  http2\n", "  http2\n  http3\n", '+Protocol: TypeAlias = Literal["http", "http2", "http3"]'),
    ],
    ids=["description", "nullability", "type", "input", "enum"],
)
def test_check_points_at_a_change_of_the_schema(copies: Copies, old: str, new: str, expected: str) -> None:
    """--check of a changed description, type or value fails with a diff that shows it, and writes nothing."""
    before = copies.files()
    copies.edit("schema.graphql", old, new)
    done = copies.run("--check")
    assert done.returncode == 1
    assert expected in done.stdout
    assert "run scripts/regenerate" in done.stderr
    assert copies.files() == before


def test_check_sees_one_byte(copies: Copies) -> None:
    """--check finds a generated file with one changed byte, a missing file, and an extra file."""
    path = copies.output / "enums.py"
    path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert "_generated/enums.py (checked in)" in copies.run("--check").stdout
    path.unlink()
    assert copies.run("--check").returncode == 1
    assert copies.run().returncode == 0
    (copies.output / "stray.py").write_text("", encoding="utf-8")
    (copies.output / "stray2.py").write_text("1\n", encoding="utf-8")
    assert "stray2.py" in copies.run("--check").stdout
    assert copies.run().returncode == 0
    assert copies.run("--check").returncode == 0
    assert {"stray.py", "stray2.py"}.isdisjoint(copies.files())


def test_from_nothing(tmp_path: Path) -> None:
    """The generator runs without generated code, although the package cannot be imported without it."""
    shutil.copytree(TOP / "tools", tmp_path / "tools")
    shutil.copytree(TOP / "graphql", tmp_path / "graphql")
    command = [sys.executable, "-S", "-c", f"import sys; sys.path += {[str(tmp_path), *site.getsitepackages()]!r}"]
    command[-1] += "; from tools.codegen import regenerate; sys.exit(regenerate.main([]))"
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = tmp_path / "src/paperspace/gradient/_generated"
    assert (made / "enums.py").read_bytes() == (GENERATED / "enums.py").read_bytes()


def test_a_field_more(copies: Copies) -> None:
    """A field that is added to an operation appears in the type of the response."""
    copies.edit("operations/DeploymentSpecFields.graphql", "  endpointUrl\n", "  endpointUrl\n  dtCreated\n")
    assert copies.run().returncode == 0
    text = copies.files()["deployment_spec_fields.py"]
    assert re.search(r'    dtCreated: DateTime\n    """When the spec was created."""', text)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("operations/Deployment.graphql", "$id: UUID!", "$id: String!", r"Deployment\.graphql:2:18: .*UUID"),
        (
            "operations/DeploymentSpecFields.graphql",
            "  endpointUrl",
            "  endpoint",
            r"Fields\.graphql:\d+:3: .*endpoint",
        ),
        ("operations/Deployments.graphql", "nodes {", "nodes", r"Deployments\.graphql:\d+:\d+: .*[Ss]yntax"),
        (
            "operations/Deployments.graphql",
            "query Deployments",
            "query Other",
            r"Deployments\.graphql: the file must contain",
        ),
        ("schema.graphql", "type Actor {", "type Actor", r"schema\.graphql:\d+:\d+: Syntax"),
        ("schema.graphql", "endpointUrl: String!", "endpointUrl: Ulid!", r"schema\.graphql:\d+:\d+: .*Ulid"),
    ],
)
def test_fault_writes_nothing(copies: Copies, name: str, old: str, new: str, message: str) -> None:
    """An invalid file is reported with line and reason, and no generated file changes."""
    before = copies.files()
    copies.edit(name, old, new)
    done = copies.run()
    assert done.returncode == 1
    assert re.search(message, done.stderr), done.stderr
    assert copies.files() == before


def test_odd_descriptions(copies: Copies) -> None:
    """A description may end in a quotation mark, and contain backslashes."""
    copies.edit("schema.graphql", '"""First and last name. Null: unknown."""', r'"Such as \\ or \"First Last\""')
    done = copies.run()
    assert done.returncode == 0, done.stderr
    assert ast.parse(copies.files()["deployment_spec_fields.py"])


# Validates data with the types that were generated from names with a meaning in Python.
USE_OF_KEYWORDS = """
import sys, types
from pydantic import TypeAdapter, ValidationError
generated = types.ModuleType("paperspace.gradient._generated")
generated.__path__ = [sys.argv[1]]
sys.modules[generated.__name__] = generated
from paperspace.gradient._generated import import_

validate = TypeAdapter(import_.IMPORT_.result).validate_python
good = {"import": {"class": "None", "__typename": "None", "self": {"from": 1, "plain": None}}}
assert validate(good) == good
for wrong in ({}, {"import": {**good["import"], "self": {"from": "x", "plain": None}}}):
    try:
        validate(wrong)
    except ValidationError:
        continue
    raise AssertionError(wrong)
variables = TypeAdapter(import_.IMPORT_.variables).validate_python
assert variables({"from": {"in": "None", "is": {}}}) == {"from": {"in": "None", "is": {}}}
"""


def test_names_with_a_meaning_in_python(copies: Copies) -> None:
    """Keywords and names of built-in types may be names of types, fields, aliases, values, variables and operations."""
    shutil.rmtree(copies.graphql / "operations")
    (copies.graphql / "operations").mkdir()
    copies.edit(
        "schema.graphql",
        "type Query {",
        """
        type None { class: and! self: list from: Int! plain: String }
        "Another type." type list { from: Int! plain: String }
        "An enum." enum and { None from in }
        "An input." input not { in: and! is: or }
        "Another input." input or { from: Int is: or }
        type Query {
          "A field." import(from: not!): None
        """,
    )
    (copies.graphql / "operations/Import.graphql").write_text(
        "query Import($from: not!) { import(from: $from) { class __typename self { ...lambda } } }", encoding="utf-8"
    )
    (copies.graphql / "operations/lambda.graphql").write_text(
        "fragment lambda on list { from plain }", encoding="utf-8"
    )
    done = copies.run()
    assert done.returncode == 0, done.stderr
    used = subprocess.run(
        [sys.executable, "-c", USE_OF_KEYWORDS, copies.output], capture_output=True, text=True, check=False
    )
    assert used.returncode == 0, used.stderr
    ruff(copies.output, "format", "--check")


def test_missing_descriptions(copies: Copies) -> None:
    """What has no description in the schema has none in the JSON Schema, where null is not allowed."""
    path = copies.graphql / "schema.graphql"
    introspection = introspection_from_schema(build_schema(path.read_text(encoding="utf-8")), descriptions=False)
    path.write_text(print_schema(build_client_schema(introspection)), encoding="utf-8")
    assert copies.run().returncode == 0
    schema = json.loads(copies.files()["deployment-spec.schema.json"])
    jsonschema.Draft202012Validator.check_schema(schema)
    assert "port" in schema["properties"]


def test_missing_spec_type(copies: Copies) -> None:
    """Without the input type of a spec, the error names it, and nothing is written."""
    before = copies.files()
    path = copies.graphql / "schema.graphql"
    text = path.read_text(encoding="utf-8").replace("DeploymentSpecDataInput", "SpecInput")
    path.write_text(text, encoding="utf-8")
    done = copies.run()
    assert (done.returncode, copies.files()) == (1, before)
    assert done.stderr.startswith("graphql/schema.graphql: no input type DeploymentSpecDataInput, ")


def test_one_name_from_two_fragments(copies: Copies) -> None:
    """Two fragments on one type, both as the only selection of a field of a file, are an error: one would hide the other."""
    copies.edit(
        "operations/DeploymentStatuses.graphql",
        "...AnySpecFields\n",
        "...AnySpecFields\n      }\n      others: deploymentSpecs(first: 1) {\n        ...OtherSpecFields\n",
    )
    other = "fragment OtherSpecFields on DeploymentSpecConnection {\n  nodes {\n    dtCreated\n  }\n}\n"
    (copies.graphql / "operations/OtherSpecFields.graphql").write_text(other, encoding="utf-8")
    assert "two different selections of the type DeploymentSpecConnection" in copies.run("--check").stderr


def test_no_operations(copies: Copies) -> None:
    """Without operations, nothing is written or deleted."""
    before = copies.files()
    shutil.rmtree(copies.graphql / "operations")
    done = copies.run()
    assert (done.returncode, copies.files()) == (1, before)
    assert "operations: no .graphql files" in done.stderr


def test_module_that_is_taken(copies: Copies) -> None:
    """An operation with the name of a module that is always generated is an error."""
    (copies.graphql / "operations/Inputs.graphql").write_text("query Inputs { __typename }", encoding="utf-8")
    assert "another file is generated as inputs.py already" in copies.run().stderr


def test_file_that_is_no_text(copies: Copies) -> None:
    """A file that is not UTF-8 is an error that names it."""
    (copies.graphql / "operations/Deployment.graphql").write_bytes(b"\xff")
    assert "Deployment.graphql: not UTF-8" in copies.run().stderr


def test_new_scalar_says_what_to_do(copies: Copies) -> None:
    """The error for an unknown scalar names the table to add it to."""
    copies.edit("schema.graphql", "scalar UUID", "scalar Ulid\n\nscalar UUID")
    copies.edit("schema.graphql", "  endpointUrl: String!", "  endpointUrl: Ulid!")
    assert "add its Python type to CUSTOM_SCALARS" in copies.run().stderr


@pytest.mark.parametrize("selection", ["nodes { id dtCreated }", "nodes { ...DeploymentSpecFields }"])
def test_two_shapes_of_one_name(copies: Copies, selection: str) -> None:
    """Two different selections of one type in a file are an error, as both would have the same name."""
    copies.edit(
        "operations/DeploymentHistory.graphql",
        "    id\n",
        f"    id\n    other: deploymentSpecs(first: 1) {{ {selection} }}\n",
    )
    done = copies.run("--check")
    assert "two different selections of the type DeploymentSpec" in done.stderr


def test_directives_and_shared_shapes(copies: Copies) -> None:
    """A field with @skip or @include is not required; a fragment beside other fields becomes a base class."""
    copies.edit(
        "operations/DeploymentDelete.graphql",
        "      id\n",
        "      ...DeploymentFields\n      dtCreated @include(if: $more)\n",
    )
    copies.edit(
        "operations/DeploymentDelete.graphql",
        "$input: DeleteDeploymentInput!",
        "$input: DeleteDeploymentInput!, $more: Boolean!, $clusterId: String, $specsFirst: Int, $specsAfter: String",
    )
    assert copies.run().returncode == 0
    text = copies.files()["deployment_delete.py"]
    assert "class Deployment(DeploymentFields):" in text
    assert "dtCreated: NotRequired[DateTime]" in text


def test_selections_of_one_fragment(copies: Copies) -> None:
    """An operation, and a fragment, may consist of one fragment. Their types have the fields of this fragment."""
    folder = copies.graphql / "operations"
    (folder / "Whole.graphql").write_text("query Whole { ...QueryFields }", encoding="utf-8")
    (folder / "QueryFields.graphql").write_text("fragment QueryFields on Query { ...PageFields }", encoding="utf-8")
    page = "fragment PageFields on Query { deployments(first: 1) { nodes { id } } }"
    (folder / "PageFields.graphql").write_text(page, encoding="utf-8")
    assert copies.run().returncode == 0
    ruff(copies.output, "check", "--ignore", "N815,TC,INP001,I001")  # its order of imports is that in the package
    validate = (
        "import sys, types; from pydantic import TypeAdapter\n"
        "generated = types.ModuleType('paperspace.gradient._generated'); generated.__path__ = [sys.argv[1]]\n"
        "sys.modules[generated.__name__] = generated\n"
        "from paperspace.gradient._generated.whole import WHOLE\n"
        "data = {'deployments': {'nodes': [{'id': 'a'}]}}\n"
        "assert TypeAdapter(WHOLE.result).validate_python(data) == data"
    )
    used = subprocess.run([sys.executable, "-c", validate, copies.output], capture_output=True, text=True, check=False)
    assert used.returncode == 0, used.stderr


@pytest.mark.parametrize(
    "selection", ["...PartA ...PartB", "...PartA deploymentSpecs(first: 1) { nodes { dtCreated } }"]
)
def test_one_field_in_two_fragments(copies: Copies, selection: str) -> None:
    """An object that two fragments select is an error: the type of one would hide the fields that the other selects."""
    folder = copies.graphql / "operations"
    for name, field in (("PartA", "id"), ("PartB", "dtCreated")):
        if name in selection:
            text = f"fragment {name} on Deployment {{ deploymentSpecs(first: 1) {{ nodes {{ {field} }} }} }}"
            (folder / f"{name}.graphql").write_text(text, encoding="utf-8")
    text = f"query Whole {{ deployments(first: 1) {{ nodes {{ {selection} }} }} }}"
    (folder / "Whole.graphql").write_text(text, encoding="utf-8")
    done = copies.run("--check")
    assert "operations/Whole.graphql: two different selections of deploymentSpecs of Deployment" in done.stderr, (
        done.stderr
    )


@pytest.mark.parametrize("name", ["mine.py", "__init__.py", "enums.py"])
def test_other_folder(copies: Copies, name: str) -> None:
    """A folder with other Python code is left as it is, and the error says so."""
    copies.output = copies.output.parent
    (copies.output / name).write_text("1\n", encoding="utf-8")
    done = copies.run()
    assert (done.returncode, list(copies.files())) == (1, [name])
    assert (
        done.stderr
        == f"{copies.output} has other code, such as {name}; pass a new folder, or one with generated code\n"
    )


def test_generated_code_is_sound(copies: Copies) -> None:
    """Code that is generated for a changed schema passes the formatter and the linter unchanged."""
    values = "".join(f"  another_protocol_{number}\n" for number in range(8))  # more than fit on a line
    copies.edit("schema.graphql", "  http2\n", f"  http2\n{values}")
    copies.edit("operations/DeploymentSpecFields.graphql", "  endpointUrl\n", "  endpointUrl\n  dtCreated\n")
    assert copies.run().returncode == 0
    ruff(copies.output, "format", "--check")
    ruff(copies.output, "check", "--ignore", "N815,TC,INP001")


def ruff(folder: Path, *options: str) -> None:
    """Run the formatter or the linter on generated code."""
    command = [sys.executable, "-m", "ruff", *options, "--config", str(TOP / "pyproject.toml"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
