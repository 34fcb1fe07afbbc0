"""Links to the console of a running server, which anyone with its API key gets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import aiohttp

from paperspace.gradient.console.bodies import read_first

if TYPE_CHECKING:
    from paperspace.gradient.config import Settings

_MAX_BYTES = 64 * 1024  # of a response, which has a link
_TIMEOUT = aiohttp.ClientTimeout(total=10)


async def link_of_server(settings: Settings) -> str | None:
    """Return a new link to the console that the server of the API serves. None: it serves none."""
    base, found, _ = settings.api_url.rpartition("/graphql")
    if not found:
        return None
    headers = {"Authorization": f"Bearer {settings.api_key}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=True) as session,
            session.post(f"{base}/console/link", headers=headers, allow_redirects=False) as response,
        ):
            content = json.loads(await read_first(response.content, _MAX_BYTES)) if response.ok else {}
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError):
        return None  # whatever is wrong, the page of the command's own console says it
    fragment = content.get("fragment") if isinstance(content, dict) else None
    return f"{base}/{fragment}" if isinstance(fragment, str) else None
