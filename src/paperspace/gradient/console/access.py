"""Which requests the console accepts: those of its own page, from a browser that had a link.

A link has a token in its fragment, which browsers do not send. The page exchanges it once for the token of a session, and
sends that in a header of each request. There are no cookies, so another page cannot make a browser send anything of use.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import hdrs

if TYPE_CHECKING:
    from aiohttp import web

TOKEN = "X-Console-Token"  # noqa: S105  # the name of a header

MAX_LINKS = 20
MAX_SESSIONS = 50

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""The headers of every response."""


class Tokens:
    """The tokens of links that were not used yet, and of sessions. Only their digests are kept."""

    def __init__(self) -> None:
        self._links: dict[bytes, None] = {}
        self._sessions: dict[bytes, None] = {}

    def new_link(self) -> str:
        """Return the fragment of a new link, which works once. Above the limit, the oldest link stops to work."""
        return f"#token={_add(self._links, MAX_LINKS)}"

    def new_session(self, link: str) -> str | None:
        """Exchange the token of a link for that of a session. None: no link has this token, or it was used."""
        if _digest(link) not in self._links:
            return None
        del self._links[_digest(link)]
        return _add(self._sessions, MAX_SESSIONS)

    def is_session(self, token: str) -> bool:
        """Return whether a token is that of a session."""
        return _digest(token) in self._sessions


def _add(tokens: dict[bytes, None], limit: int) -> str:
    token = secrets.token_urlsafe(32)
    tokens[_digest(token)] = None
    while len(tokens) > limit:
        del tokens[next(iter(tokens))]
    return token


def _digest(token: str) -> bytes:
    """Return what is looked up in place of a token: how long that takes says nothing about the token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def has_key(request: web.Request, api_key: str) -> bool:
    """Return whether a request is that of a program with the API key. Pages do not have it."""
    scheme, _, key = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    is_equal = hmac.compare_digest(_digest(key.strip()), _digest(api_key))
    return is_equal and scheme.lower() == "bearer" and hdrs.ORIGIN not in request.headers


def is_own_host(request: web.Request, listens_on: str) -> bool:
    """Return whether the header Host names this machine.

    Another name may be that of a foreign page that leads to this machine (DNS rebinding). An IP address cannot.

    Args:
        request: The request.
        listens_on: The host that the console listens on.
    """
    try:
        host = urlsplit(f"//{request.headers.get(hdrs.HOST, '')}").hostname or ""
    except ValueError:
        return False
    return _is_loopback(host) or host == listens_on.lower() or (_is_address(host) and not _is_loopback(listens_on))


def is_own_origin(request: web.Request) -> bool:
    """Return whether a request is that of the console's own page. One that only reads may also be that of no page."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none") and not _is_read(request):
        return False
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None:
        return _is_read(request)
    scheme, _, address = origin.lower().partition("://")
    return scheme in ("http", "https") and address == request.headers.get(hdrs.HOST, "").lower()


def _is_read(request: web.Request) -> bool:
    return request.method in (hdrs.METH_GET, hdrs.METH_HEAD)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host.lower() == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
