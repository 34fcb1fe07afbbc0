"""Links to the console of a running server, which anyone with its API key gets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import aiohttp

from paperspace.gradient._core import certificates, proxies
from paperspace.gradient.console.bodies import read_first
from paperspace.gradient.errors import ConfigurationError

if TYPE_CHECKING:
    from paperspace.gradient.config import Settings

_MAX_BYTES = 64 * 1024  # of a response, which has a link
_TIMEOUT = aiohttp.ClientTimeout(total=10)


async def link_of_server(settings: Settings) -> str | None:
    """Return a new link to the console that the server of the API serves. None: it serves none."""
    base, found, _ = settings.api_url.rpartition("/graphql")
    if not found:
        return None
    url, headers = f"{base}/console/link", {"Authorization": f"Bearer {settings.api_key}"}
    try:
        # As the transport does it: with trust_env, aiohttp would send the key to the proxy also for a loopback address.
        proxy = proxies.proxy_for(url)
        trusted = certificates.trusted_for(url, proxy)
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.post(url, headers=headers, allow_redirects=False, proxy=proxy, ssl=trusted) as response,
        ):
            content = json.loads(await read_first(response.content, _MAX_BYTES)) if response.ok else {}
    except (aiohttp.ClientError, ConfigurationError, TimeoutError, OSError, ValueError, RecursionError):
        return None  # whatever is wrong, the page of the command's own console says it
    fragment = content.get("fragment") if isinstance(content, dict) else None
    return f"{base}/{fragment}" if isinstance(fragment, str) else None
