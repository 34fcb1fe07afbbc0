"""Spec files: the function that reads one. How that is done is in `_spec_parsing`, which is loaded when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from paperspace.gradient.types import DeploymentSpecInput


def load_spec(path: str | PathLike[str] | None = None, *, image: str | None = None) -> DeploymentSpecInput:
    """Reads a spec from a file, checks it, and returns it as the functions take it.

    Args:
        path: The file: `.yaml`, `.yml`, `.json`, `.jsonc` or `.toml`. None: the first of `paperspace.yaml`, `.yml`,
            `.json`, `.jsonc`, `.toml`, and `.paperspace/app.yaml` and so on, in the working directory.
        image: Stands in for the image `:image` of the file.

    Returns:
        The spec. That of an older file (`apiVersion`, `resources.machineType`, `ports`) is converted, where nothing is
        lost.

    Raises:
        InvalidSpecError: There is no such file, or it is no spec; every mistake is listed with file, line and column (in
            TOML with its path alone).
        InvalidArgumentError: `path` is no path.

    Example:
        >>> from pathlib import Path
        >>> text = "{image: ':image', port: 8501, resources: {machineType: A100}}"
        >>> _ = Path("paperspace.yaml").write_text(text)
        >>> deployments.load_spec(image="tensorflow/serving")
        {'image': 'tensorflow/serving', 'port': 8501, 'resources': {'instanceType': 'A100'}}
    """
    from paperspace.gradient._spec_parsing import read_file

    return read_file(path, image=image)
