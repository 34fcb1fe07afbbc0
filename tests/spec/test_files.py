"""Spec files: formats, search order, and errors with line and column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.deployments.test_changes import FULL
from tests.samples import SPEC

from paperspace.gradient import InvalidArgumentError, InvalidSpecError
from paperspace.gradient._shared.graphql_files import spec_schema
from paperspace.gradient._spec.checks import check_spec
from paperspace.gradient._spec.files import SEARCHED
from paperspace.gradient.deployments import load_spec

YAML = """\
image: tensorflow/serving
port: 8501
resources:
  instanceType: A100
  replicas: 1
"""
JSONC = """\
{
  // what to run
  "image": "tensorflow/serving", /* "image": "none" */
  "port": 8501,
  "resources": {"instanceType": "A100", "replicas": 1,},
}
"""
TOML = """\
image = "tensorflow/serving"
port = 8501
[resources]
instanceType = "A100"
replicas = 1
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def errors_of(name: str, text: str) -> list[str]:
    """Return the lines of the error for a file with this text, without the line that names the file."""
    Path(name).write_text(text, encoding="utf-8")
    with pytest.raises(InvalidSpecError) as caught:
        load_spec(name)
    lines = str(caught.value).splitlines()
    return lines[1:] if lines[0] == f"{name} is not a valid spec:" else lines


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.yaml", YAML), ("a.yml", YAML), ("a.json", json.dumps(SPEC)), ("a.jsonc", JSONC), ("a.toml", TOML)],
)
def test_formats(name: str, text: str) -> None:
    """The same spec loads as the same dict from every format."""
    Path(name).write_text(text, encoding="utf-8")
    assert load_spec(name) == SPEC


def test_search_order() -> None:
    """Without a path, the first of the known names is loaded; if no such file exists, the error names all of them."""
    with pytest.raises(InvalidSpecError) as caught:
        load_spec()
    assert all(name in str(caught.value) for name in SEARCHED)
    Path(".paperspace").mkdir()
    for name in reversed(SEARCHED):
        text = {".toml": f'image = "{name}"'}.get(Path(name).suffix, json.dumps({"image": name}))
        Path(name).write_text(text, encoding="utf-8")
        assert load_spec()["image"] == name
    assert SEARCHED[0] == "paperspace.yaml"
    assert SEARCHED[-1] == ".paperspace/app.toml"


def test_image_of_the_caller() -> None:
    """The image argument replaces `:image`, which is an error without it; any other image stays."""
    Path("a.yaml").write_text("image: :image\n", encoding="utf-8")
    assert load_spec("a.yaml", image="nginx") == {"image": "nginx"}
    assert errors_of("a.yaml", "image: :image\n") == [
        "a.yaml:1:8: image: an image expected, ':image' given (give the image that :image stands for)"
    ]
    Path("a.yaml").write_text("image: redis\n", encoding="utf-8")
    assert load_spec("a.yaml", image="nginx") == {"image": "redis"}


def test_every_problem_with_its_position() -> None:
    """Every problem is reported with file, line and column, in order: the position of the wrong key or value."""
    lines = errors_of(
        "a.yaml",
        "prot: 80\nport: '80'\nresources:\n  replicas: two\nenv:\n- name: A\n  value: hunter2\n- name: B\n  value: 5\n",
    )
    assert lines == [
        "a.yaml:1:1: prot: no field of this name expected, 80 given (did you mean 'port'?)",
        "a.yaml:1:1: image: the reference of a container image expected, nothing given (such as 'tensorflow/serving')",
        "a.yaml:2:7: port: a whole number expected, '80' given",
        "a.yaml:4:13: resources.replicas: a whole number expected, 'two' given",
        "a.yaml:9:10: env[1].value: a string expected, a value of type int given",
    ]


def test_keys_that_are_not_strings() -> None:
    """A key that YAML reads as a number, null, boolean or date is an unknown field, reported with its position."""
    lines = errors_of("a.yaml", "image: nginx\n2: x\nnull: x\n'true': x\non: x\n2020-01-01: x\nresources:\n  1.5: x\n")
    assert [tuple(line.split(": ")[:2]) for line in lines] == [
        ("a.yaml:2:1", "2"),
        ("a.yaml:3:1", "None"),
        ("a.yaml:4:1", "true"),
        ("a.yaml:5:1", "True"),
        ("a.yaml:6:1", "datetime.date(2020, 1, 1)"),
        ("a.yaml:8:3", "resources.1.5"),
    ]
    assert all("no field of this name expected" in line for line in lines)


def test_merged_keys() -> None:
    """YAML merge keys (`<<`) are resolved."""
    Path("a.yaml").write_text("image: nginx\nresources:\n  <<: {replicas: 2}\n  instanceType: C4\n", encoding="utf-8")
    assert load_spec("a.yaml") == {"image": "nginx", "resources": {"replicas": 2, "instanceType": "C4"}}


def test_positions_in_json() -> None:
    """Problems in JSON, with and without comments, have line and column."""
    text = '{\n  "image": "nginx",\n  "port": "80"\n}'
    assert errors_of("a.json", text) == ["a.json:3:11: port: a whole number expected, '80' given"]
    assert errors_of("a.jsonc", f"// a comment\n{text}") == ["a.jsonc:4:11: port: a whole number expected, '80' given"]


def test_toml_without_positions() -> None:
    """Problems in TOML have the path of the field, without a line."""
    assert errors_of("a.toml", 'image = "nginx"\nport = "80"\n') == [
        "a.toml: port: a whole number expected, '80' given"
    ]


@pytest.mark.parametrize(
    ("name", "text", "start"),
    [
        ("a.yaml", "image: [", "a.yaml:1:9: no YAML: "),
        ("a.yaml", "image: a\nimage: b\n", "a.yaml:2:1: image is there twice"),
        ("a.yaml", "", "a.yaml: a spec expected, None found"),
        ("a.yaml", "- a\n", "a.yaml: a spec expected, ['a'] found"),
        ("a.yaml", "image: !!python/object:os.system x\n", "a.yaml:1:8: no YAML: "),
        ("a.yaml", "[" * 5000, "a.yaml: no YAML: nested too deeply, or it refers to itself"),
        ("a.yaml", "image: &a [*a]", "a.yaml: no YAML: nested too deeply, or it refers to itself"),
        ("a.json", '{"image": }', "a.json:1:11: no JSON: "),
        ("a.json", "[" * 100_000, "a.json: no JSON: "),
        ("a.json", '{"image": ' + "[" * 600 + "]" * 600 + "}", "a.json: image: a string expected"),
        ("a.toml", "image =", "a.toml: no TOML: "),
        ("a.toml", "port = " + "9" * 5000, "a.toml: no TOML: "),
        ("a.toml", "a = " + "[" * 100_000, "a.toml: no TOML: nested too deeply"),
        ("a.json", '{"port": ' + "9" * 5000 + "}", "a.json: no JSON: "),
        ("a.yaml", "x: !!bool foo", "a.yaml: no YAML: "),
        ("a.yaml", "x: !!timestamp foo", "a.yaml: no YAML: "),
        ("a.txt", "", "a.txt: a file that ends in .yaml"),
    ],
)
def test_files_without_a_spec(name: str, text: str, start: str) -> None:
    """A file that cannot be parsed, or holds no spec, gives an error with position and reason."""
    [line] = errors_of(name, text)
    assert line.startswith(start)


def test_missing_file() -> None:
    """The error names a missing file."""
    with pytest.raises(InvalidSpecError, match=r"a\.yaml cannot be read: No such file or directory"):
        load_spec("a.yaml")


def test_invalid_path() -> None:
    """A value that is no path is an invalid argument; an impossible path and a file that is not UTF-8 have different errors."""
    for value in (5, b"a.yaml", ["a.yaml"]):
        with pytest.raises(InvalidArgumentError, match=r"path: the path of a spec file expected, .* given"):
            load_spec(value)  # type: ignore[arg-type]
    with pytest.raises(
        InvalidSpecError, match=r"'a\\x00b\.yaml' cannot be read, as that is no path: embedded null byte"
    ):
        load_spec("a\0b.yaml")
    Path("a.yaml").write_bytes(b"image: \xff")
    with pytest.raises(InvalidSpecError, match=r"a\.yaml cannot be read: not UTF-8"):
        load_spec("a.yaml")


class TestOlderFiles:
    """Files of the older format: converted if nothing is lost; otherwise the error lists what would be."""

    @pytest.mark.parametrize(
        "text",
        [
            "image: nginx\nresources: {machineType: C4, ports: [8501]}\n",
            "image: nginx\nports: 8501\nresources: {machineType: C4}\n",
            "apiVersion: v1\nimage: nginx\nports: [8501]\nport: 8501\nresources: {machineType: C4}\n",
            "image: nginx\nports: []\nport: 8501\nresources: {machineType: C4, ports: []}\n",
            "image: nginx\nports: null\nport: 8501\nresources: {machineType: C4, ports: null}\n",
        ],
    )
    def test_converted(self, text: str) -> None:
        """Machine type and a single port are converted to the current fields."""
        Path("a.yaml").write_text(text, encoding="utf-8")
        assert load_spec("a.yaml") == {"image": "nginx", "port": 8501, "resources": {"instanceType": "C4"}}

    def test_not_convertible(self) -> None:
        """Several ports and health checks cannot be converted."""
        lines = errors_of("a.yaml", "image: nginx\nports: [80, 443]\nhealthChecks: {}\n")
        assert lines[0].startswith("a.yaml:2:8: ports: one port expected, [80, 443] given (the others would be lost")
        assert lines[1].startswith("a.yaml:3:1: healthChecks: no field of this name expected")
        assert "they would be lost" in lines[1]

    @pytest.mark.parametrize("version", ["latest", "v1", "v12", "v1alpha1", "v2beta3", "null"])
    def test_versions(self, version: str) -> None:
        """Known values of apiVersion are dropped."""
        Path("a.yaml").write_text(f"apiVersion: {version}\nimage: nginx\n", encoding="utf-8")
        assert load_spec("a.yaml") == {"image": "nginx"}

    @pytest.mark.parametrize("version", ["1", "''", "V1", "v", "v1gamma1", "v1.0", "apps/v1", "[v1]", "false"])
    def test_other_versions(self, version: str) -> None:
        """Any other value of apiVersion is a problem."""
        [line] = errors_of("a.yaml", f"apiVersion: {version}\nimage: nginx\n")
        assert line.startswith("a.yaml:1:13: apiVersion: a version such as latest, v1 or v1alpha2 expected")

    def test_both_machine_types(self) -> None:
        """A machineType beside an instanceType is a problem."""
        [line] = errors_of("a.yaml", "image: nginx\nresources: {machineType: C4, instanceType: A100}\n")
        assert "resources.machineType" in line


class TestJsonSchema:
    """The JSON Schema for editors agrees with the checks of the library."""

    @pytest.fixture
    def schema(self) -> Any:
        """The published schema."""
        return json.loads(spec_schema().read_text(encoding="utf-8"))

    def test_accepts(self, schema: Any) -> None:
        """The schema accepts specs that the library accepts."""
        accepted: list[Any] = [SPEC, FULL, {"image": "nginx", "port": None, "resources": {}}]
        for good in accepted:
            assert list(check_spec(good)) == []
            jsonschema.validate(good, schema)

    @pytest.mark.parametrize(
        "bad",
        [
            {},
            {"image": "x", "port": "80"},
            {"image": "x", "prot": 80},
            {"image": "x", "env": [{"name": "A"}]},
            {"image": 5},
        ],
    )
    def test_rejects(self, schema: Any, bad: Any) -> None:
        """The schema rejects specs that the library rejects for names or types."""
        assert list(check_spec(bad)) != []
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)
