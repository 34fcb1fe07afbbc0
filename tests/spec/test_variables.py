"""Variables in spec files, and files of variables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from paperspace.gradient import InvalidSpecError
from paperspace.gradient._spec.files import file_content, parse_file, read_env_file
from paperspace.gradient.deployments import load_spec


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables of the tests."""
    for name, value in {"TAG": "1.5", "PORT": "8501", "OFF": "false", "EMPTY": "", "LOAD": "0.5"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("UNSET", raising=False)


def substituted(text: str) -> Any:
    """Return the spec in a text, with variables substituted."""
    return parse_file(text, "a.yaml", "", env_subst=True).spec


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x:${TAG}", "x:1.5"),
        ("${UNSET:-x}:${TAG}", "x:1.5"),
        ("x${EMPTY:-:none}", "x:none"),
        ("x${EMPTY}y", "xy"),
        ("x${UNSET:-}", "x"),
        ("$$${TAG}", "$1.5"),
        ("$${TAG}", "${TAG}"),
        ("$TAG", "$TAG"),
    ],
)
def test_substituted(value: str, expected: str) -> None:
    """A variable is replaced by its value or its default, and `$$` by a dollar; `$NAME` is no variable."""
    assert substituted(f"image: '{value}'") == {"image": expected}


def test_types() -> None:
    """A value that is one variable becomes a number or boolean where the field has one; in other fields it stays text."""
    text = """
image: ${PORT}
port: ${PORT}
enabled: ${OFF}
command: ["${PORT}"]
env: [{name: A, value: "${PORT}"}]
resources: {replicas: "${UNSET:-2}", autoscaling: {maxReplicas: 3, metrics: [{metric: cpu, value: "${LOAD}"}]}}
"""
    assert substituted(text) == {
        "image": "8501",
        "port": 8501,
        "enabled": False,
        "command": ["8501"],
        "env": [{"name": "A", "value": "8501"}],
        "resources": {"replicas": 2, "autoscaling": {"maxReplicas": 3, "metrics": [{"metric": "cpu", "value": 0.5}]}},
    }


def test_a_value_adds_no_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """The value of a variable is text, whatever it looks like as YAML."""
    monkeypatch.setenv("TAG", "x\nport: 1\n#")
    assert substituted("image: ${TAG}\n") == {"image": "x\nport: 1\n#"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "port: 80\nimage: x:${UNSET}\n",
            (
                "a.yaml:2:8: image: expected the environment variable UNSET to be set, got no value "
                "(set it, or write ${UNSET:-default})"
            ),
        ),
        (
            "image: x:${TAG#v}\n",
            (
                "a.yaml:1:8: image: expected ${NAME} or ${NAME:-default}, got ${ with other text after it "
                "(for a literal dollar sign, write $$)"
            ),
        ),
    ],
)
def test_not_substituted(text: str, problem: str) -> None:
    """A variable that is not set, or another form of the shell, is a problem with its line."""
    with pytest.raises(InvalidSpecError) as caught:
        substituted(text)
    assert str(caught.value).splitlines()[1:] == [problem]


def test_refused_without_substitution() -> None:
    """Without substitution, a variable is refused with a hint, except where a shell in the container may read it."""
    text = (
        "image: x:${TAG}\ncommand: [sh, -c, 'echo ${TAG}']\nenv: [{name: A, value: '${TAG}'}]\n"
        "healthChecks: {readiness: {exec: {command: [sh, -c, 'test ${TAG}']}}}\n"
    )
    with pytest.raises(InvalidSpecError) as caught:
        parse_file(text, "a.yaml", "")
    assert str(caught.value).splitlines()[1:] == [
        (
            "a.yaml:1:8: image: expected a value without variables, got ${TAG} "
            "(to use the environment variable, pass --env-subst, or env_subst=True in Python; "
            "to keep the text, add `x-literal: true` to the file)"
        )
    ]
    spec: Any = parse_file(text, "a.yaml", "", image="y").spec
    assert (spec["image"], spec["command"][2], spec["env"][0]["value"]) == ("y", "echo ${TAG}", "${TAG}")
    assert spec["healthChecks"]["readiness"]["exec"]["command"][2] == "test ${TAG}"


@pytest.mark.parametrize("image", ["x:${TAG}", ":image"])
def test_literal_file(image: str) -> None:
    """A file with `x-literal: true` keeps what would be a variable or a placeholder. The caller's options still apply."""
    text = f"x-literal: true\nimage: '{image}'\nmodels: [{{id: '${{TAG}}'}}]\n"
    assert parse_file(text, "a.yaml", "").spec == {"image": image, "models": [{"id": "${TAG}"}]}
    assert parse_file(text, "a.yaml", "", env_subst=True, image="y").spec == {"image": "y", "models": [{"id": "1.5"}]}
    with pytest.raises(InvalidSpecError):
        parse_file(text.replace("true", "false"), "a.yaml", "")


@pytest.mark.parametrize("image", ["x", "x:${TAG}", ":image"])
def test_content_of_a_file(image: str) -> None:
    """A stored spec becomes the content of a file that is read back as that spec; most need no `x-literal`."""
    spec: Any = {"image": image, "command": ["${TAG}"]}
    content = file_content(spec)
    assert parse_file(json.dumps(content), "a.json", ".json").spec == spec
    assert ("x-literal" in content) == (image != "x")


def test_load_spec_substitutes(tmp_path: Path) -> None:
    """`load_spec` substitutes on demand; the image of the caller is not substituted."""
    path = tmp_path / "a.yaml"
    path.write_text("image: x:${TAG}\n", encoding="utf-8")
    assert load_spec(path, env_subst=True) == {"image": "x:1.5"}
    assert load_spec(path, env_subst=True, image="y:${TAG}") == {"image": "y:${TAG}"}


def test_env_file(tmp_path: Path) -> None:
    """A file of variables is read as Docker does: values as they are, names alone from the environment."""
    path = tmp_path / "a.env"
    path.write_bytes(b'\xef\xbb\xbf# a comment\r\n\r\nA=1\r\n  B="two" # three\nC=\nTAG\nUNSET\nD=x=y\nA=2\n')
    variables = read_env_file(path)
    assert variables == {"A": "2", "B": '"two" # three', "C": "", "TAG": "1.5", "D": "x=y"}
    spec: Any = parse_file("image: x\nenv: [{name: C, value: '3'}, {name: E, value: '5'}]", "f", "", env=variables).spec
    assert {entry["name"]: entry["value"] for entry in spec["env"]} == {**variables, "E": "5"}
    assert [entry["name"] for entry in spec["env"]][:2] == ["C", "E"]


@pytest.mark.parametrize("line", ["=hunter2", "export A=hunter2", "A B", "A=hunter2\0"])
def test_invalid_env_file(line: str, tmp_path: Path) -> None:
    """A line without a valid name is an error with its number, and its text is not shown."""
    path = tmp_path / "a.env"
    path.write_text(f"X=1\n{line}\n", encoding="utf-8")
    with pytest.raises(InvalidSpecError) as caught:
        read_env_file(path)
    hint = "; remove `export`" if line.startswith("export") else ""
    assert str(caught.value) == f"{path}:2: expected NAME=VALUE or NAME; a name has no spaces{hint}"
