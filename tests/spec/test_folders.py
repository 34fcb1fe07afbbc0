"""`load_specs` reads the spec files of a folder, with the rules and the errors of `gradient deployments apply FOLDER`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from paperspace.gradient.deployments import load_specs
from paperspace.gradient.errors import InvalidArgumentError, InvalidSpecError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with a folder of two spec files, and files that are none."""
    monkeypatch.chdir(tmp_path)
    Path("team").mkdir()
    write("team/b.json", '{"name": "b", "projectId": "q", "image": "x"}')
    write("team/a.yaml", "name: a\nimage: x:${TAG}\nx-literal: true\n")
    write("team/notes.txt", "no spec")
    write("team/.hidden.yaml", "no spec")
    Path("team/more.yaml").mkdir()


def write(name: str, text: str) -> None:
    Path(name).write_text(text, encoding="utf-8")


def error_of(*arguments: Any) -> str:
    """The message of the error for these arguments."""
    with pytest.raises(InvalidSpecError) as caught:
        load_specs(*arguments)
    return str(caught.value)


def test_folder() -> None:
    """Each spec file is read, sorted by its name, with the name and the project that it sets."""
    write("team/a.yaml", "name: a\nprojectId: p\nimage: x\n")
    assert load_specs("team") == [
        {"path": "team/a.yaml", "name": "a", "projectId": "p", "spec": {"image": "x"}},
        {"path": "team/b.json", "name": "b", "projectId": "q", "spec": {"image": "x"}},
    ]


def test_pipe() -> None:
    """A pipe in the folder is read as a file: without it, `apply --prune` would delete the deployment that it describes."""
    reader, writer = os.pipe()
    os.write(writer, b"name: c\nprojectId: p\nimage: x\n")
    os.close(writer)
    Path("team/c.yaml").symlink_to(f"/dev/fd/{reader}")
    assert [named["name"] for named in load_specs("team", "p")] == ["a", "b", "c"]
    os.close(reader)


def test_file() -> None:
    """The path of one file is read as a folder with that file."""
    assert [named["path"] for named in load_specs(Path("team/b.json"))] == ["team/b.json"]


def test_project() -> None:
    """`project_id` takes precedence over the projects of the files."""
    assert [named["projectId"] for named in load_specs("team/", "r")] == ["r", "r"]


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables are substituted on demand."""
    monkeypatch.setenv("TAG", "1.5")
    assert load_specs("team", "p")[0]["spec"] == {"image": "x:${TAG}"}
    assert load_specs("team", "p", env_subst=True)[0]["spec"] == {"image": "x:1.5"}


def test_all_problems() -> None:
    """One error lists the problems of all files, also names and projects that are missing."""
    write("team/a.yaml", "image: x\nprot: 1\n")
    write("team/b.json", "{")
    write("team/c.yaml", "name: c\nprojectId: p\n")
    lines = error_of("team").splitlines()
    assert lines[:5] == [
        "invalid spec file team/a.yaml:",
        "team/a.yaml:1:1: name: missing; expected the name of the deployment",
        "team/a.yaml:1:1: projectId: missing; expected the id of the project (or pass project_id=)",
        "team/a.yaml:2:1: prot: unknown field (did you mean 'port'?)",
        "team/b.json:1:2: invalid JSON: Expecting property name enclosed in double quotes",
    ]
    assert lines[-1].startswith("team/c.yaml:1:1: image: missing")


def test_same_deployment() -> None:
    """Two files for one deployment are refused, also if their names differ only in how characters are composed."""
    write("team/c.yaml", "name: Zo\u00eb\nimage: x\n")
    write("team/d.yaml", "name: Zoe\u0308\nprojectId: q\nimage: x\n")
    refused = "team/c.yaml and team/d.yaml describe the same deployment, Zoe\u0308: set another `name` in one of them"
    assert error_of("team", "p") == refused
    write("team/a.yaml", "name: b\nprojectId: p\nimage: x\n")
    write("team/c.yaml", "name: c\nprojectId: p\nimage: x\n")
    assert [named["name"] for named in load_specs("team")] == ["b", "b", "c", "Zoe\u0308"]  # in two projects


def test_path() -> None:
    """A path that is empty, is no path, does not exist or has no spec files is an error."""
    Path("empty").mkdir()
    assert error_of("") == "the path of the spec file is empty"
    assert error_of("missing") == "cannot read missing: No such file or directory"
    assert error_of("empty") == "no spec files in empty; looked for *.yaml, *.yml, *.json, *.jsonc, *.toml"
    with pytest.raises(InvalidArgumentError, match=r"^path: expected the path of a spec file, got "):
        load_specs({"image": "x"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidArgumentError, match=r"^project_id: expected a non-empty string, got ''"):
        load_specs("team", "")
