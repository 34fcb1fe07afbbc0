"""`scripts/regenerate` keeps the generated code in step with the GraphQL files, and says where it cannot."""

from __future__ import annotations

import ast
import re
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest
from tests.samples import run_module

TOP = Path(__file__).parents[2]
GENERATED = TOP / "src/paperspace/gradient/_generated"


class Workshop:
    """A copy of the GraphQL files and of the generated folder, to be changed at will."""

    def __init__(self, folder: Path) -> None:
        self.graphql = folder / "graphql"
        self.output = folder / "_generated"
        shutil.copytree(TOP / "graphql", self.graphql)
        shutil.copytree(GENERATED, self.output, ignore=shutil.ignore_patterns("__pycache__"))

    def edit(self, name: str, old: str, new: str) -> None:
        """Replaces one place in a GraphQL file."""
        path = self.graphql / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Runs the command on the copies."""
        places = ["--graphql", str(self.graphql), "--output", str(self.output)]
        return run_module("tools.codegen.regenerate", *places, *options)

    def files(self) -> dict[str, str]:
        """The generated files, name to text."""
        return {path.name: path.read_text(encoding="utf-8") for path in self.output.iterdir() if path.is_file()}


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A workshop of this test's own."""
    return Workshop(tmp_path)


def test_check_passes_in_step(workshop: Workshop) -> None:
    """What is checked in is in step: nothing printed, exit code 0."""
    done = workshop.run("--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_writing_changes_nothing_in_step(workshop: Workshop) -> None:
    """Writing what is in step gives the same bytes; twice is as good as once."""
    before = workshop.files()
    assert workshop.run().returncode == 0
    assert workshop.run().returncode == 0
    assert workshop.files() == before


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
def test_check_points_at_a_change_of_the_schema(workshop: Workshop, old: str, new: str, expected: str) -> None:
    """One changed description, type or value makes --check fail with a diff that points at it, and writes nothing."""
    before = workshop.files()
    workshop.edit("schema.graphql", old, new)
    done = workshop.run("--check")
    assert done.returncode == 1
    assert expected in done.stdout
    assert "run scripts/regenerate" in done.stderr
    assert workshop.files() == before


def test_check_sees_one_byte(workshop: Workshop) -> None:
    """A generated file that was edited by hand by one byte, or is missing, or too many, is found."""
    path = workshop.output / "enums.py"
    path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert "_generated/enums.py (checked in)" in workshop.run("--check").stdout
    path.unlink()
    assert workshop.run("--check").returncode == 1
    assert workshop.run().returncode == 0
    (workshop.output / "stray.py").write_text("", encoding="utf-8")
    (workshop.output / "stray2.py").write_text("1\n", encoding="utf-8")
    assert "stray2.py" in workshop.run("--check").stdout
    assert workshop.run().returncode == 0
    assert workshop.run("--check").returncode == 0
    assert {"stray.py", "stray2.py"}.isdisjoint(workshop.files())


def test_from_nothing(tmp_path: Path) -> None:
    """The generator runs where there is no generated code yet, which the package could not even be imported without."""
    shutil.copytree(TOP / "tools", tmp_path / "tools")
    shutil.copytree(TOP / "graphql", tmp_path / "graphql")
    command = [sys.executable, "-S", "-c", f"import sys; sys.path += {[str(tmp_path), *site.getsitepackages()]!r}"]
    command[-1] += "; from tools.codegen import regenerate; sys.exit(regenerate.main([]))"
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = tmp_path / "src/paperspace/gradient/_generated"
    assert (made / "enums.py").read_bytes() == (GENERATED / "enums.py").read_bytes()


def test_a_field_more(workshop: Workshop) -> None:
    """A field that an operation asks for in addition appears in the type of the reply."""
    workshop.edit("operations/DeploymentSpecFields.graphql", "  endpointUrl\n", "  endpointUrl\n  dtCreated\n")
    assert workshop.run().returncode == 0
    text = workshop.files()["deployment_spec_fields.py"]
    assert re.search(r'    dtCreated: DateTime\n    """When the spec was created."""', text)


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        ("operations/Deployment.graphql", "$id: UUID!", "$id: String!", r"Deployment\.graphql:2:18: .*UUID"),
        (
            "operations/DeploymentSpecFields.graphql",
            "  endpointUrl",
            "  endpoint",
            r"Fields\.graphql:\d+:3: .*endpoint",
        ),
        ("operations/Deployments.graphql", "nodes {", "nodes", r"Deployments\.graphql:\d+:\d+: .*[Ss]yntax"),
        ("operations/Deployments.graphql", "query Deployments", "query Other", r"Deployments\.graphql: has to hold"),
        ("schema.graphql", "type Actor {", "type Actor", r"schema\.graphql:\d+:\d+: Syntax"),
        ("schema.graphql", "endpointUrl: String!", "endpointUrl: Ulid!", r"schema\.graphql:\d+:\d+: .*Ulid"),
    ],
)
def test_fault_writes_nothing(workshop: Workshop, name: str, old: str, new: str, complaint: str) -> None:
    """A file that does not fit is named with line and reason, and the generated folder stays as it was."""
    before = workshop.files()
    workshop.edit(name, old, new)
    done = workshop.run()
    assert done.returncode == 1
    assert re.search(complaint, done.stderr), done.stderr
    assert workshop.files() == before


def test_odd_descriptions(workshop: Workshop) -> None:
    """A description may end in a quotation mark, and hold backslashes."""
    workshop.edit("schema.graphql", '"""First and last name. Null: unknown."""', r'"Such as \\ or \"First Last\""')
    done = workshop.run()
    assert done.returncode == 0, done.stderr
    assert ast.parse(workshop.files()["deployment_spec_fields.py"])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("endpointUrl", "from: endpointUrl"), r"Fields\.graphql:11: from cannot be a name in Python"),
        (("endpointUrl", "__typename"), r"Fields\.graphql:11: __typename cannot be a name in Python"),
        (("actor {", "...PageInfoFields\n  actor {"), r"PageInfoFields"),
    ],
)
def test_names_that_cannot_be(workshop: Workshop, change: tuple[str, str], complaint: str) -> None:
    """What cannot be a name in Python is refused with its place, and nothing is written."""
    before = workshop.files()
    workshop.edit("operations/DeploymentSpecFields.graphql", *change)
    done = workshop.run()
    assert (done.returncode, workshop.files()) == (1, before)
    assert re.search(complaint, done.stderr), done.stderr


def test_no_operations(workshop: Workshop) -> None:
    """Without operations nothing is written, or taken away."""
    before = workshop.files()
    shutil.rmtree(workshop.graphql / "operations")
    done = workshop.run()
    assert (done.returncode, workshop.files()) == (1, before)
    assert "no operation" in done.stderr


def test_module_that_is_taken(workshop: Workshop) -> None:
    """An operation whose module would be one that is there anyway is refused."""
    (workshop.graphql / "operations/Inputs.graphql").write_text("query Inputs { __typename }", encoding="utf-8")
    assert "inputs.py, and that is taken" in workshop.run().stderr


def test_file_that_is_no_text(workshop: Workshop) -> None:
    """A file that is not UTF-8 is named."""
    (workshop.graphql / "operations/Deployment.graphql").write_bytes(b"\xff")
    assert "Deployment.graphql: not UTF-8" in workshop.run().stderr


def test_new_scalar_says_what_to_do(workshop: Workshop) -> None:
    """A scalar that the generator does not know is refused with the place to add it."""
    workshop.edit("schema.graphql", "scalar UUID", "scalar Ulid\n\nscalar UUID")
    workshop.edit("schema.graphql", "  endpointUrl: String!", "  endpointUrl: Ulid!")
    assert "add its Python type to CUSTOM_SCALARS" in workshop.run().stderr


@pytest.mark.parametrize("selection", ["nodes { id dtCreated }", "nodes { ...DeploymentSpecFields }"])
def test_two_shapes_of_one_name(workshop: Workshop, selection: str) -> None:
    """Two different selections of one type in a file are refused, as neither could be named after what it is."""
    workshop.edit(
        "operations/DeploymentHistory.graphql",
        "    id\n",
        f"    id\n    other: deploymentSpecs(first: 1) {{ {selection} }}\n",
    )
    done = workshop.run("--check")
    assert "two different selections of the type DeploymentSpec" in done.stderr


def test_directives_and_shared_shapes(workshop: Workshop) -> None:
    """A field that may be skipped is not required; a fragment with more beside it becomes a base."""
    workshop.edit(
        "operations/DeploymentDelete.graphql",
        "      id\n",
        "      ...DeploymentFields\n      dtCreated @include(if: $more)\n",
    )
    workshop.edit(
        "operations/DeploymentDelete.graphql",
        "$input: DeleteDeploymentInput!",
        "$input: DeleteDeploymentInput!, $more: Boolean!, $clusterId: String, $specsFirst: Int, $specsAfter: String",
    )
    assert workshop.run().returncode == 0
    text = workshop.files()["deployment_delete.py"]
    assert "class Deployment(DeploymentFields):" in text
    assert "dtCreated: NotRequired[DateTime]" in text


def test_generated_code_is_sound(workshop: Workshop) -> None:
    """What is generated for a changed schema is formatted and linted as it comes."""
    workshop.edit("schema.graphql", "  http2\n", "  http2\n  http3\n")
    workshop.edit("operations/DeploymentSpecFields.graphql", "  endpointUrl\n", "  endpointUrl\n  dtCreated\n")
    assert workshop.run().returncode == 0
    ruff = [sys.executable, "-m", "ruff"]
    config = ["--config", str(TOP / "pyproject.toml")]
    for command in ([*ruff, "format", "--check", *config], [*ruff, "check", *config, "--ignore", "N815,TC,INP001"]):
        done = subprocess.run([*command, workshop.output], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
