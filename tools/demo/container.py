"""The last part of the demo: a deployment in a container, if there is a Docker engine."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from paperspace.gradient.server.controller.engine import EngineUnavailableError
from tools.demo.engine import find_engine
from tools.demo.server import running_server
from tools.demo.steps import Step, show_all

NOT_SHOWN = "The demo shows no container."


def show_container() -> None:
    """Run a container, call its endpoint, and remove everything. If that is not possible, say why."""
    try:
        asyncio.run(find_engine())
    except EngineUnavailableError as error:
        print(f"{NOT_SHOWN} {error}\n")
        return
    if not find_spec("aiodocker"):
        print(f"{NOT_SHOWN} The extra docker is not installed.\n")
        return
    asyncio.run(_show())


async def _show() -> None:
    from tools.demo.image import NoImageError, prepared_image

    try:
        async with prepared_image() as image:
            await asyncio.to_thread(_run, image)
    except NoImageError as error:
        print(f"{NOT_SHOWN} {error}\n")


def _run(image: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = f"{folder}/gradient.db"
        with (
            taken_down(database),
            running_server("--gateway-port", "0", "--engine", "docker", "--database", database) as lines,
        ):
            print(*lines, "", sep="\n")
            show_all(steps(image))


@contextmanager
def taken_down(database: str) -> Iterator[None]:
    """Remove the containers and the gateway at the end.

    Raises:
        SystemExit: This failed.
    """
    try:
        yield
    finally:
        if Path(database).exists():
            command = ["gradient", "server", "down", "--now", "--database", database]
            print(f"# Remove the containers and the gateway.\n$ {' '.join(command)}", flush=True)
            done = subprocess.run(command, stderr=subprocess.STDOUT, check=False)
            print()
            if done.returncode:
                sys.exit("The demo could not remove its containers.")


def steps(image: str) -> dict[str, list[Step]]:
    """Return the steps, with a spec that runs a web server in this image."""
    # The trap lets it end at once on SIGTERM.
    script = (
        "mkdir /www; echo Hello from a container, $(hostname). > /www/index.html; "
        "httpd -p 8080 -h /www; trap exit TERM; sleep 1d & wait"
    )
    return {
        "A spec of a deployment that runs in a container.": [
            Step(f"""spec = {{
    'image': {image!r},
    'port': 8080,
    'command': [
        '/bin/busybox', 'sh', '-c',
        {script!r},
    ],
}}"""),
            Step("from paperspace.gradient import deployments"),
        ],
        "Create it, and wait until it is ready.": [
            Step("hello = deployments.create_deployment('hello', 'my-project', spec, wait=True)"),
            Step("status = deployments.get_deployment_status(hello['id'])"),
            Step("status['state'], status['endpointUrl']"),
        ],
        "Its endpoint responds from the container.": [
            Step("from urllib.request import urlopen"),
            Step("urlopen(status['endpointUrl']).read().decode()"),
        ],
    }
