"""Links to the console of a running server, which anyone with its API key gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from paperspace.gradient.config import Settings

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
            content = await response.json() if response.ok else {}
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None  # whatever is wrong, the page of the command's own console says it
    fragment = content.get("fragment") if isinstance(content, dict) else None
    return f"{base}/{fragment}" if isinstance(fragment, str) else None
