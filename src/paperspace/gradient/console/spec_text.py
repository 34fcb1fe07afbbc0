"""Specs in the editor: check the text as a spec file, and write the same change as a command and in Python."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.yaml_text import yaml_text
from paperspace.gradient._spec.files import decode, file_content, parse_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from paperspace.gradient._spec.files import SpecFile
    from paperspace.gradient.errors import InvalidSpecError
    from paperspace.gradient.types import DeploymentSpecInput

_FILE = "spec.yaml"
_PROBLEM = re.compile(rf"{re.escape(_FILE)}(?::(\d+))?(?::(\d+))?: (.*)")


def parse_text(text: str) -> SpecFile:
    """Parse and validate the text of the editor, as YAML or JSON. The limit of its size is that of a file.

    Raises:
        InvalidSpecError: it is invalid; `problems_of` returns each problem.
    """
    file = parse_file(decode(text.encode(), _FILE), _FILE, ".yaml")
    file.validate()
    return file


def problems_of(error: InvalidSpecError) -> list[dict[str, Any]]:
    """Return the problems of an error with their positions, which its message has in the form that editors read."""
    problems = [
        {"line": int(match[1] or 0), "column": int(match[2] or 0), "message": match[3]}
        for match in map(_PROBLEM.fullmatch, str(error.args[0]).splitlines())
        if match
    ]
    return problems or [{"line": 0, "column": 0, "message": str(error.args[0])}]


def text_of(spec: DeploymentSpecInput) -> str:
    """Return a spec as the text of a spec file."""
    return yaml_text(file_content(spec))


def as_command(text: str, name: str, project_id: str) -> str:
    """Return the command that applies a text."""
    end = "EOF"
    while end in text.splitlines():
        end += "_"
    options = f"--name {shlex.quote(name)} --project-id {shlex.quote(project_id)}"
    return f"gradient deployments apply {options} --spec - <<'{end}'\n{text.rstrip()}\n{end}"


def as_python(spec: Mapping[str, Any], name: str, project_id: str) -> str:
    """Return the call that applies a spec."""
    return f"deployments.apply_deployment({name!r}, {project_id!r}, {spec!r})"
