"""An image for the demo: busybox, from this machine or from Docker Hub."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiodocker

from paperspace.gradient.server.docker.address import find_address

# With this program, no network is needed. Debian's package busybox-static has it.
BUSYBOX = Path("/bin/busybox")
BUILT = "gradient-demo:busybox"
PULLED = "busybox:stable"

_PULL_TIMEOUT = 120  # seconds


class NoImageError(Exception):
    """There is no image, for the reason in the message."""


@asynccontextmanager
async def prepared_image() -> AsyncIterator[str]:
    """Prepare an image, and yield its name. It is removed at the end, unless it existed before.

    Raises:
        NoImageError: It cannot be pulled.
        EngineUnavailableError: There is no Docker engine.
    """
    async with aiodocker.Docker(find_address(os.environ, Path.home()).url) as docker:
        name = BUILT if _is_static(BUSYBOX) else PULLED
        existed = await _exists(docker, name)
        if name == BUILT:
            await docker.images.build(fileobj=_context(), tag=name, encoding="identity")
        elif not existed:
            await _pull(docker, name)
        try:
            yield name
        finally:
            if not existed:
                await docker.images.delete(name, force=True)


async def _exists(docker: aiodocker.Docker, name: str) -> bool:
    try:
        await docker.images.inspect(name)
    except aiodocker.DockerError:
        return False
    return True


async def _pull(docker: aiodocker.Docker, name: str) -> None:
    print(f"Pulling the image {name} (2 MB) ...", flush=True)
    try:
        async with asyncio.timeout(_PULL_TIMEOUT):
            await docker.images.pull(name)
    except TimeoutError:
        raise NoImageError(f"The image {name} cannot be pulled: no response within {_PULL_TIMEOUT} s.") from None
    except aiodocker.DockerError as error:
        raise NoImageError(f"The image {name} cannot be pulled: {str(error.message).rstrip('.')}.") from error


def _is_static(program: Path) -> bool:
    """Return whether a program exists, and runs without other files."""
    return program.is_file() and b"/ld-" not in program.read_bytes()[:4096]  # the path of the dynamic linker


def _context() -> io.BytesIO:
    """Return a build context: a Dockerfile, and the program."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        dockerfile = b"FROM scratch\nCOPY busybox /bin/busybox\n"
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        tar.addfile(entry, io.BytesIO(dockerfile))
        tar.add(BUSYBOX, "busybox", filter=_executable)
    context.seek(0)
    return context


def _executable(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mode = 0o755
    return entry
