"""`scripts/demo` with a Docker engine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.engine.private_engine import PrivateEngine
from tools import TOP


def demo(docker: PrivateEngine, folder: Path, *, before: str = "") -> str:
    """Run the demo, and return what it prints."""
    environment = {
        **os.environ,
        "DOCKER_HOST": docker.url,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        [sys.executable, "-c", f"{before}\nfrom tools.demo.__main__ import main; main()"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=TOP,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def images(docker: PrivateEngine) -> set[str]:
    return set(docker.docker("images", "--all", "--quiet", "--no-trunc").stdout.split())


def test_the_demo_ends_with_a_container(docker: PrivateEngine, tmp_path: Path) -> None:
    """The demo runs a container without a network, its endpoint responds, and nothing is left: no container, image or process."""
    before = images(docker)
    shown = demo(docker, tmp_path)
    assert "\nDeployments run on Docker " in shown
    assert re.search(r"\n'Hello from a container, [0-9a-f]{12}\.\\n'\n", shown)
    assert re.search(r"\nStopped 1 deployment\..*\n\nThe demo is complete", shown)
    assert docker.docker("ps", "--all", "--quiet").stdout == ""
    assert images(docker) == before
    assert (
        str(tmp_path)
        not in subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    )


def test_an_image_that_cannot_be_pulled(docker: PrivateEngine, tmp_path: Path) -> None:
    """Without an image and without a network, the demo succeeds, and says that it shows no container, and why."""
    before = "import pathlib, tools.demo.image as image; image.BUSYBOX = pathlib.Path('/nosuch')"
    shown = demo(docker, tmp_path, before=before)
    assert re.search(
        r"\nThe demo shows no container\. The image busybox:stable cannot be pulled: .+\.\n\nThe demo is", shown
    )
    assert docker.docker("ps", "--all", "--quiet").stdout == ""
