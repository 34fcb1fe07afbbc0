"""Spec files."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from paperspace.gradient.errors import InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from paperspace.gradient.types import DeploymentSpecInput


def spec_option(*, required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option `--spec`."""
    return click.option(
        "--spec",
        required=required,
        type=click.Path(exists=True, dir_okay=False, allow_dash=True),
        metavar="FILE",
        help="What to run: a file with the spec, in YAML or JSON; - reads it from standard input.",
    )


def read_spec(path: str) -> DeploymentSpecInput:
    """The spec in a file of YAML or JSON. What it means is looked at elsewhere.

    Raises:
        InvalidSpecError: There is no mapping in it, or nothing that could be read.
    """
    import yaml

    name = "standard input" if path == "-" else path
    try:
        with click.open_file(path, encoding="utf-8") as file:
            content = _parse(file.read())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        reason = getattr(error, "problem", None) or "it is no text"
        raise InvalidSpecError(f"{place}: neither YAML nor JSON: {reason}") from error
    if not isinstance(content, dict):
        raise InvalidSpecError(f"{name}: a spec is a mapping, such as `image: tensorflow/serving`")
    return cast("DeploymentSpecInput", content)


def _parse(text: str) -> object:
    import json

    import yaml

    try:
        return json.loads(text)
    except ValueError:
        return yaml.safe_load(text)  # a superset of JSON, but for the tabs that JSON may be indented with
