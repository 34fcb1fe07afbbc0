"""The package in a zip archive, in a program of PyInstaller, and in tests that replace the file system."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import paperspace.gradient
from paperspace.gradient import deployments

if TYPE_CHECKING:
    from pyfakefs.fake_filesystem import FakeFilesystem

    from paperspace.gradient.pytest_plugin import GradientServer

TOP = Path(__file__).parents[1]

USE = """
import sys
sys.path.insert(0, sys.argv[1])
import paperspace.gradient
from paperspace.gradient import deployments
from paperspace.gradient.server import LocalServer

assert paperspace.gradient.__file__.startswith(sys.argv[1]), paperspace.gradient.__file__
with LocalServer() as server:
    paperspace.gradient.configure(server.api_key, server.url)
    id_ = deployments.create_deployment("mnist", "p1", {"image": "tensorflow/serving"})["id"]
    print(deployments.get_deployment(id_)["name"])
"""


def test_a_zip_archive(tmp_path: Path) -> None:
    """Client and server find their modules and files in a zip archive."""
    archive = tmp_path / "package.zip"
    with ZipFile(archive, "w") as package:
        for folder, inside in ((TOP / "src", Path()), (TOP / "graphql", Path("paperspace/gradient/graphql"))):
            for path in folder.rglob("*"):  # folders too: without them, Python finds no namespace package
                if "__pycache__" not in path.parts:
                    package.write(path, inside / path.relative_to(folder))
    command = [sys.executable, "-c", USE, str(archive)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("mnist\n", "")


def test_a_fake_file_system(gradient_server: GradientServer, fs: FakeFilesystem) -> None:
    """With pyfakefs, the library reads its own files from the real file system, and spec files from the fake one."""
    id_ = deployments.create_deployment("mnist", "p1", {"image": "tensorflow/serving"})["id"]
    assert gradient_server.url
    assert deployments.get_deployment(id_)["name"] == "mnist"
    fs.create_file("/specs/paperspace.yaml", contents="image: nginx\n")
    assert deployments.load_spec("/specs/paperspace.yaml")["image"] == "nginx"


def test_pyinstaller_finds_the_hook() -> None:
    """The entry point of PyInstaller names the folder with the hook of this package."""
    [entry_point] = (point for point in entry_points(group="pyinstaller40") if "paperspace" in point.value)
    [folder] = entry_point.load()()
    assert Path(folder, f"hook-{paperspace.gradient.__name__}.py").is_file()
