"""Spec files, as options and arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
        help="What to run: a file with the spec, in YAML, JSON or TOML; - reads YAML or JSON from standard input.",
    )


def read_spec(path: str | None, image: str | None = None) -> DeploymentSpecInput:
    """The spec in a file, or in the first of the known files; `-` is standard input.

    Raises:
        InvalidSpecError: It is no spec; every mistake has its place.
    """
    from paperspace.gradient._spec.files import parse_spec
    from paperspace.gradient.deployments import load_spec

    if path != "-":
        return load_spec(path, image=image)
    name = "standard input"
    try:
        with click.open_file(path, encoding="utf-8") as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise InvalidSpecError(f"{name} cannot be read: not UTF-8") from error
    return parse_spec(text, name, ".json" if _is_json(text) else ".yaml", image=image)


def _is_json(text: str) -> bool:
    """Whether it is JSON: nearly all of that is YAML too, but not where it is indented by tabs."""
    import json

    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
