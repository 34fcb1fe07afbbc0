"""Find out whether a Docker engine responds, without the extra `docker`. As a program, the exit code says it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import aiohttp

from paperspace.gradient.server.controller.engine import EngineUnavailableError
from paperspace.gradient.server.docker.address import find_address

_TIMEOUT = aiohttp.ClientTimeout(total=5)


async def find_engine() -> None:
    """Return if a Docker engine responds.

    Raises:
        EngineUnavailableError: None does.
    """
    address = find_address(os.environ, Path.home())
    try:
        connector = aiohttp.UnixConnector(address.url.removeprefix("unix://"))
        async with (
            aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session,
            session.get("http://docker/_ping", raise_for_status=True),
        ):
            pass
    except (aiohttp.ClientError, RuntimeError, TimeoutError) as error:  # RuntimeError: on Windows
        raise EngineUnavailableError(f"The Docker engine {address} does not respond: {error}.") from error


if __name__ == "__main__":
    try:
        asyncio.run(find_engine())
    except EngineUnavailableError:
        sys.exit(1)
