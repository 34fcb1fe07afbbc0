"""Spec files: formats, search order, and errors with line and column."""

from __future__ import annotations

import json
import os
import re
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml
from tests.deployments.test_changes import FULL
from tests.samples import SPEC

from paperspace.gradient import InvalidArgumentError, InvalidSpecError, deployments
from paperspace.gradient._shared.graphql_files import SPEC_SCHEMA
from paperspace.gradient._spec.checks import check_spec
from paperspace.gradient._spec.files import DEFAULT_FILES, parse_file, read_file
from paperspace.gradient._spec.parsers import parse
from paperspace.gradient.deployments import load_spec, load_specs

if TYPE_CHECKING:
    from collections.abc import Callable

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
# A file that begins with it is parsed by libyaml. Its characters have two bytes each.
LONG = "#" + "é" * 100_000 + "\n"
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
    return lines[1:] if lines[0] == f"invalid spec file {name}:" else lines


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
    assert all(name in str(caught.value) for name in DEFAULT_FILES)
    Path(".paperspace").mkdir()
    for name in reversed(DEFAULT_FILES):
        text = {".toml": f'image = "{name}"'}.get(Path(name).suffix, json.dumps({"image": name}))
        Path(name).write_text(text, encoding="utf-8")
        assert load_spec()["image"] == name
    assert DEFAULT_FILES[0] == "paperspace.yaml"
    assert DEFAULT_FILES[-1] == ".paperspace/app.toml"


def test_default_file_that_is_a_broken_link() -> None:
    """A default file that is a link to a missing file is an error: another file is not loaded in its place."""
    Path("paperspace.yml").write_text("image: other", encoding="utf-8")
    Path("paperspace.yaml").symlink_to("missing.yaml")
    with pytest.raises(InvalidSpecError, match=r"cannot read paperspace\.yaml: No such file or directory"):
        load_spec()


def test_image_of_the_caller() -> None:
    """The image argument replaces the image of the file, whatever that is; `:image` is an error without it."""
    Path("a.yaml").write_text("image: :image\n", encoding="utf-8")
    assert load_spec("a.yaml", image="nginx") == {"image": "nginx"}
    assert errors_of("a.yaml", "image: :image\n") == [
        (
            "a.yaml:1:8: image: expected an image, got ':image' "
            "(:image is a placeholder; pass the image: --image, or image= in Python)"
        )
    ]
    Path("a.yaml").write_text("image: redis\n", encoding="utf-8")
    assert load_spec("a.yaml", image="nginx") == {"image": "nginx"}
    Path("a.yaml").write_text("port: 80\n", encoding="utf-8")
    assert load_spec("a.yaml", image="nginx") == {"port": 80, "image": "nginx"}


def test_every_problem_with_its_position() -> None:
    """Every problem is reported with file, line and column, in order: the position of the wrong key or value."""
    lines = errors_of(
        "a.yaml",
        "prot: 80\nport: '80'\nresources:\n  replicas: two\nenv:\n- name: A\n  value: hunter2\n- name: B\n  value: 5\n",
    )
    assert lines == [
        "a.yaml:1:1: prot: unknown field (did you mean 'port'?)",
        "a.yaml:1:1: image: missing; expected a container image such as 'tensorflow/serving'",
        "a.yaml:2:7: port: expected an integer, got '80' (write 80, without quotes)",
        "a.yaml:4:13: resources.replicas: expected an integer, got 'two'",
        "a.yaml:9:10: env[1].value: expected a string, got a value of type int (quote it)",
    ]


@pytest.mark.parametrize("value", ["8080", "true", "1.5"])
@pytest.mark.parametrize("field", ["name", "value"])
def test_variables_that_need_quotes(field: str, value: str) -> None:
    """A number or a boolean in `env` is an error that says to quote it: in each kind of file, in a dict, and in a patch."""
    number = json.loads(value)
    entry = {"name": "A", "value": "B", field: number}
    message = f"env[0].{field}: expected a string, got a value of type {type(number).__name__} (quote it)"
    texts = {
        "a.yaml": f"image: i\nenv:\n- {json.dumps(entry)}\n",
        "a.json": json.dumps({"image": "i", "env": [entry]}),
        "a.toml": "image='i'\n[[env]]\n" + "".join(f"{key} = {json.dumps(part)}\n" for key, part in entry.items()),
    }
    for name, text in texts.items():
        Path(name).write_text(text, encoding="utf-8")
        with pytest.raises(InvalidSpecError, match=re.escape(message)):
            load_spec(name)
    with pytest.raises(InvalidSpecError, match=re.escape(message)):
        deployments.create_deployment("n", "p", {"image": "i", "env": [entry]})
    if field == "value":
        with pytest.raises(InvalidArgumentError, match=re.escape(message.replace("env[0].value", "env.A"))):
            deployments.patch_deployment("cd973717-ae4e-44aa-9363-f77b9db4de12", env={"A": number})


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
    assert all("unknown field" in line for line in lines)


def test_merged_keys() -> None:
    """YAML merge keys (`<<`) are resolved."""
    Path("a.yaml").write_text("image: nginx\nresources:\n  <<: {replicas: 2}\n  instanceType: C4\n", encoding="utf-8")
    assert load_spec("a.yaml") == {"image": "nginx", "resources": {"replicas": 2, "instanceType": "C4"}}


def test_positions_in_json() -> None:
    """Problems in JSON, with and without comments, have line and column."""
    text = '{\n  "image": "nginx",\n  "port": "80"\n}'
    assert errors_of("a.json", text) == ["a.json:3:11: port: expected an integer, got '80' (write 80, without quotes)"]
    assert errors_of("a.jsonc", f"// a comment\n{text}") == [
        "a.jsonc:4:11: port: expected an integer, got '80' (write 80, without quotes)"
    ]


def test_toml_without_positions() -> None:
    """Problems in TOML have the path of the field, without a line."""
    assert errors_of("a.toml", 'image = "nginx"\nport = "80"\n') == [
        "a.toml: port: expected an integer, got '80' (write 80, without quotes)"
    ]


@pytest.mark.parametrize(
    ("name", "text", "start"),
    [
        ("a.yaml", "image: [", "a.yaml:1:9: invalid YAML: "),
        ("a.yaml", "image: a\nimage: b\n", "a.yaml:2:1: duplicate key image"),
        ("a.yaml", "", "a.yaml: expected a spec, got an empty file"),
        ("a.yaml", "- a\n", "a.yaml: expected a spec, got a list"),
        ("a.yaml", "image: !!python/object:os.system x\n", "a.yaml:1:8: invalid YAML: "),
        ("a.yaml", "[" * 5000, "a.yaml: invalid YAML: nested too deeply, or refers to itself"),
        ("a.yaml", "image: &a [*a]", "a.yaml: invalid YAML: nested too deeply, or refers to itself"),
        ("a.yaml", LONG + "a: 1\na: 2\n", "a.yaml:3:1: duplicate key a"),
        ("a.yaml", LONG + "[" * 5000, "a.yaml:2:1001: invalid YAML: exceeded maximum nesting depth"),
        ("a.yaml", LONG + "image: &a [*a]", "a.yaml: invalid YAML: nested too deeply, or refers to itself"),
        ("a.yaml", LONG + "image: *hunter2\n", "a.yaml:2:8: invalid YAML: undefined alias; quote a value"),
        ("a.yaml", LONG + "\x07", "a.yaml:2: invalid YAML: a character that is not allowed"),
        ("a.json", '{"image": }', "a.json:1:11: invalid JSON: "),
        ("a.json", "[" * 100_000, "a.json: invalid JSON: "),
        ("a.json", '{"image": ' + "[" * 600 + "]" * 600 + "}", "a.json: nested too deeply"),
        ("a.json", "[" + "1," * 100_000 + "1]", "a.json: more than 100000 values"),
        ("a.json", '{\n"a": 1 // one\n}', "a.json:2:8: invalid JSON: JSON has no comments; name the file .jsonc"),
        (
            "a.yaml",  # more values than have positions
            "image: a\nenv:\n" + "  - {name: A, value: x}\n" * 4000 + "  - {name: B, value: x, value: y}\n",
            "a.yaml:4003:25: duplicate key value",
        ),
        ("a.json", '{\n\t"image": "a",\n\t"image": "b"\n}', "a.json:3:2: duplicate key image"),
        ("a.json", '{"im\x7fage": "a", "im\x7fage": "b"}', "a.json: duplicate key im\x7fage"),
        ("a.jsonc", '{\n"a": 1 /* one\n}', "a.jsonc:2:8: invalid JSON: the comment has no end"),
        ("a.yaml", "a: 1\n---\nb: 2\n", "a.yaml:2:1: invalid YAML: more than one document"),
        ("a.toml", "image =", "a.toml: invalid TOML: "),
        ("a.toml", "port = " + "9" * 5000, "a.toml: invalid TOML: "),
        ("a.toml", "a = " + "[" * 100_000, "a.toml: invalid TOML: nested too deeply"),
        ("a.json", '{"port": ' + "9" * 5000 + "}", "a.json: invalid JSON: "),
        ("a.yaml", "x: !!bool foo", "a.yaml: invalid YAML: "),
        ("a.yaml", "x: !!timestamp foo", "a.yaml: invalid YAML: "),
        ("a.txt", "", "a.txt: expected a spec, got an empty file"),
        ("a.yaml", "#" * 1_000_001, "cannot read a.yaml: larger than 1 MB"),
    ],
)
def test_files_without_a_spec(name: str, text: str, start: str) -> None:
    """A file that cannot be parsed, or holds no spec, gives an error with position and reason."""
    [line] = errors_of(name, text)
    assert line.startswith(start)


@pytest.mark.parametrize("start", ["", LONG], ids=["parser in Python", "libyaml"])
def test_numbers_that_yaml_versions_read_differently(start: str) -> None:
    """A number to the base 8 or 60 is the string that the file shows: kept where a string belongs, else an error."""
    text = start + "image: a\ncommand: [-p, 22:22, 010]\nenv: [{name: A, value: 1:30.5}, {name: B, value: -0o7}]\n"
    Path("a.yaml").write_text(text, encoding="utf-8")
    spec = load_spec("a.yaml")
    assert spec["command"] == ["-p", "22:22", "010"]
    assert [entry["value"] for entry in spec["env"] or ()] == ["1:30.5", "-0o7"]
    wrong = errors_of("b.yaml", start + "image: a\nport: 22:22\nresources: {replicas: 010}\n")
    assert [line.partition(": ")[2] for line in wrong] == [
        "port: expected an integer, got '22:22' (write the port of the container only: 22)",
        "resources.replicas: expected an integer, got '010' (write 10, without a leading zero or quotes)",
    ]


def test_numbers() -> None:
    """All other numbers of YAML are numbers, as before."""
    text = "image: a\nport: 0x50\nresources: {replicas: 0, autoscaling: {maxReplicas: 1_0, metrics: [%s]}}\n"
    metrics = "{metric: cpu, value: 70}, {metric: memory, value: 1.5e+1}"
    Path("a.yaml").write_text(text % metrics, encoding="utf-8")
    spec: Any = load_spec("a.yaml")
    autoscaling = spec["resources"]["autoscaling"]
    assert (spec["port"], spec["resources"]["replicas"], autoscaling["maxReplicas"]) == (80, 0, 10)
    assert [metric["value"] for metric in autoscaling["metrics"]] == [70, 15.0]


@pytest.mark.parametrize("text", ["image: a\nport: 80\n", '{"image": "a", "port": 80}', "image: a # c\nport:\n  80\n"])
def test_large_files(text: str) -> None:
    """A file of 1 MB is parsed by libyaml, with the same result and positions."""
    small, positions = parse(text, "a.yaml", "")
    padding = "" if text.startswith("{") else "#" * 100_000
    large, large_positions = parse(text + (padding or " " * 100_000), "a.yaml", "")
    assert (large, large_positions) == (small, positions) == ({"image": "a", "port": 80}, positions)


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
@pytest.mark.parametrize("item", ["a, ", "{a: b}, "])
def test_time_for_large_files(item: str) -> None:
    """A text that is long enough for libyaml takes less time than twice the text below that length."""

    def seconds(text: str) -> float:
        start = time.process_time()
        parse(f"[{text}a]", "a.yaml", "")
        return time.process_time() - start

    short = item * (90_000 // len(item))
    assert min(seconds(short * 2) for _ in range(3)) < min(seconds(short) for _ in range(3)) * 2


def test_time_for_many_problems() -> None:
    """The time to check a spec grows with the number of its problems, not with the square of it."""

    def seconds(variables: int) -> float:
        spec = {"image": "a", "env": [{"name": "", "value": 1}] * variables}
        start = time.process_time()
        assert len(list(check_spec(spec))) >= variables
        return time.process_time() - start

    assert min(seconds(4000) for _ in range(3)) < min(seconds(500) for _ in range(3)) * 20


@pytest.mark.parametrize("load", [load_spec, load_specs])
@pytest.mark.parametrize(
    "text",
    [
        '{"image": "hunter2"}',
        "image: hunter2",
        "image: a\nport: hunter2",
        "https://u:hunter2@a.example/s.yaml",
        '{"image": "hunter2", "command": ["' + 300 * "a" + '"]}',  # longer than the name of a file may be
    ],
)
def test_text_instead_of_a_path(load: Callable[[str], object], text: str) -> None:
    """Text or a URL in place of a path is an error that does not show it, as it may hold secrets."""
    with pytest.raises(InvalidSpecError) as caught:
        load(text)
    assert (
        str(caught.value)
        == "expected the path of a file, got text that is not a path; write the text to a file, and pass the path of the file"
    )
    assert "hunter2" not in "".join(traceback.format_exception_only(caught.value)) + repr(caught.value.__context__)


def test_missing_file() -> None:
    """The error names a missing file."""
    with pytest.raises(InvalidSpecError, match=r"cannot read a\.yaml: No such file or directory"):
        load_spec("a.yaml")


def test_invalid_path() -> None:
    """A value that is no path is an invalid argument; an impossible path and a file that is not UTF-8 have different errors."""
    for value in (5, b"a.yaml", ["a.yaml"], {"image": "a"}):
        with pytest.raises(InvalidArgumentError, match=r"path: expected the path of a spec file, got .*"):
            load_spec(value)  # type: ignore[arg-type]
    with pytest.raises(InvalidSpecError, match=r"cannot read 'a\\x00b\.yaml': embedded null byte"):
        load_spec("a\0b.yaml")
    Path("a.yaml").write_bytes(b"image: \xff")
    with pytest.raises(InvalidSpecError, match=r"cannot read a\.yaml: not UTF-8"):
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
        """Several ports and volumes cannot be converted."""
        lines = errors_of("a.yaml", "image: nginx\nports: [80, 443]\nvolumes: {}\n")
        assert lines[0].startswith(
            "a.yaml:2:8: ports: expected one port, got [80, 443] (keep one, and write it as `port`"
        )
        assert lines[1].startswith("a.yaml:3:1: volumes: unknown field (use `models` and `repositories`")

    @pytest.mark.parametrize("version", ["latest", "v1", "v12", "v1alpha1", "v2beta3", "null"])
    def test_versions(self, version: str) -> None:
        """Known values of apiVersion are dropped."""
        Path("a.yaml").write_text(f"apiVersion: {version}\nimage: nginx\n", encoding="utf-8")
        assert load_spec("a.yaml") == {"image": "nginx"}

    @pytest.mark.parametrize("version", ["1", "''", "V1", "v", "v1gamma1", "v1.0", "apps/v1", "[v1]", "false"])
    def test_other_versions(self, version: str) -> None:
        """Any other value of apiVersion is a problem."""
        [line] = errors_of("a.yaml", f"apiVersion: {version}\nimage: nginx\n")
        assert line.startswith(
            "a.yaml:1:13: apiVersion: expected no value, or a version such as latest, v1 or v1alpha2"
        )

    def test_both_machine_types(self) -> None:
        """A machineType beside an instanceType is a problem."""
        [line] = errors_of("a.yaml", "image: nginx\nresources: {machineType: C4, instanceType: A100}\n")
        assert "resources.machineType" in line


class TestJsonSchema:
    """The JSON Schema for editors agrees with the checks of the library."""

    @pytest.fixture
    def schema(self) -> Any:
        """The published schema."""
        return json.loads(SPEC_SCHEMA.read_text(encoding="utf-8"))

    def test_accepts(self, schema: Any) -> None:
        """The schema accepts specs that the library accepts."""
        accepted: list[Any] = [SPEC, FULL, {"image": "nginx", "port": None, "resources": {}}]
        for good in accepted:
            assert list(check_spec(good)) == []
            jsonschema.validate(good, schema)

    def test_accepts_the_keys_of_files(self, schema: Any) -> None:
        """The schema accepts what a file may have beside the spec."""
        file = {"$schema": "s", "name": "n", "projectId": "p", "x-a": 1, "image": "nginx", "resources": {"x-b": {}}}
        assert parse_file(json.dumps(file), "a.json", ".json").validate() == {"image": "nginx", "resources": {}}
        jsonschema.validate(file, schema)

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


class TestKeysOfTheFile:
    """Keys that belong to the file, and not to the spec."""

    def test_extensions(self) -> None:
        """`$schema` and keys that begin with `x-` are dropped at every level, and may hold anchors."""
        text = "x-env: &env [{name: A, value: b, x-why: c}]\n$schema: s\nimage: nginx\nenv: *env\nresources: {x-a: {x-b: 1}}\n"
        Path("a.yaml").write_text(text, encoding="utf-8")
        assert load_spec("a.yaml") == {"image": "nginx", "env": [{"name": "A", "value": "b"}], "resources": {}}

    def test_aliases_that_multiply(self) -> None:
        """A file whose aliases stand for too many values is refused."""
        lines = [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10)}]" for i in range(1, 8)]
        [line] = errors_of("a.yaml", "\n".join(["x0: &x0 [1]", *lines, "image: nginx"]))
        assert line == "a.yaml: more than 100000 values"

    def test_name_and_project(self) -> None:
        """`name` and `projectId` are read beside the spec; `load_spec` drops them."""
        Path("a.yaml").write_text("name: n\nprojectId: p\nimage: nginx\n", encoding="utf-8")
        file = read_file("a.yaml")
        assert (file.name, file.project_id, file.spec) == ("n", "p", {"image": "nginx"})
        assert load_spec("a.yaml") == {"image": "nginx"}

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("name: 22", "a.yaml:1:7: name: expected a string, got a value of type int (quote it)"),
            ("name: ' '", "a.yaml:1:7: name: expected 1 to 255 characters, got ' '"),
            ("projectId: ''", "a.yaml:1:12: projectId: expected a non-empty string, got ''"),
        ],
    )
    def test_invalid_name(self, text: str, problem: str) -> None:
        """An invalid name or project is reported with its position."""
        assert errors_of("a.yaml", f"{text}\nimage: nginx\n") == [problem]


@pytest.mark.parametrize("text", [YAML, json.dumps(SPEC), json.dumps(SPEC, indent="\t")])
@pytest.mark.parametrize("name", ["spec", "spec.txt", "spec.yaml"])
def test_any_file_name(name: str, text: str) -> None:
    """A file without one of the known suffixes is YAML or JSON, also if tabs indent it."""
    Path(name).write_text(text, encoding="utf-8")
    assert load_spec(name) == SPEC


def test_pipe() -> None:
    """A file may be a pipe, as of a process substitution."""
    reader, writer = os.pipe()
    os.write(writer, YAML.encode())
    os.close(writer)
    assert load_spec(f"/dev/fd/{reader}") == SPEC
    os.close(reader)


@pytest.mark.parametrize("part", ["/*", '"', ", ", '/* "', "//", "[1,] ", "\\", "/", "*/"])
def test_hostile_comments(part: str) -> None:
    """Ten times the text takes about ten times as long, and not a hundred times, whatever the text is."""

    def seconds(count: int) -> float:
        start = time.process_time()
        with pytest.raises(InvalidSpecError):
            parse_file(part * count, "a.jsonc", ".jsonc")
        return time.process_time() - start

    seconds(10)  # imports the parsers
    assert min(seconds(20_000) for _ in range(3)) < 40 * max(min(seconds(2_000) for _ in range(5)), 1e-4)
