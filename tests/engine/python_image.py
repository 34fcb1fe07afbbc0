"""An image with Debian's Python and the application of the tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.engine.private_engine import PrivateEngine

APPLICATION = "application:1"


def make_application_image(docker: PrivateEngine) -> None:
    """Make the image."""
    program, content = python_files()
    content["application.py"] = (Path(__file__).parent / "application.py").read_bytes()
    docker.import_image(APPLICATION, content, f'ENTRYPOINT ["{program}", "-u", "/application.py"]')


def python_files() -> tuple[Path, dict[str, bytes | str]]:
    """Return the path of Python, and the files of an image that has it."""
    program = Path("/usr/bin/python3").resolve()
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    files = [program, *map(Path, re.findall(r"(/\S+) \(0x", linked))]
    library = Path("/usr/lib") / program.name
    files += (
        file
        for file in library.rglob("*")
        if file.is_file() and not {"test", "idlelib", "__pycache__"} & set(file.parts)
    )
    content: dict[str, bytes | str] = {str(file).lstrip("/"): file.read_bytes() for file in files}
    return program, content | {"tmp/.keep": ""}
