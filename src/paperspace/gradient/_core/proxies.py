"""The proxy for a URL, from the environment: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, or the system's settings."""

from __future__ import annotations

import ipaddress
import os
from contextlib import suppress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from paperspace.gradient._core.frames import without_frames
from paperspace.gradient.config import is_loopback
from paperspace.gradient.errors import ConfigurationError

_SCHEMES = ("http", "https")


@without_frames
def proxy_for(url: str) -> str | None:
    """Return the URL of the proxy for a URL. None: connect without a proxy.

    Loopback addresses need none. A proxy without a scheme, such as `proxy.example.com:3128`, is an HTTP proxy. NO_PROXY has
    hosts, domains, IP addresses and networks such as `10.0.0.0/8`.

    Raises:
        ConfigurationError: The library cannot use the proxy, for example a SOCKS proxy.
    """
    parts = urlsplit(url)
    if is_loopback(parts.hostname or ""):
        return None
    proxies = getproxies()
    kind = next((name for name in (parts.scheme, "all") if proxies.get(name)), None)
    if kind is None or proxy_bypass(parts.netloc) or _in_excluded_network(parts.hostname or "", proxies.get("no", "")):
        return None
    proxy = proxies[kind] if "://" in proxies[kind] else f"http://{proxies[kind]}"
    _check(proxy, _source(kind), parts.hostname or "")
    return proxy


def _in_excluded_network(host: str, excluded: str) -> bool:
    """Return whether a host is an IP address in a network of NO_PROXY. `urllib` compares only names."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for entry in excluded.split(","):
        with suppress(ValueError):
            if address in ipaddress.ip_network(entry.strip().strip("[]"), strict=False):
                return True
    return False


def _check(proxy: str, source: str, host: str) -> None:
    """Check that a proxy can be used. The message does not show it, as it may have a password."""
    ways = f"set it to the URL of an HTTP proxy such as http://proxy.example.com:3128, or add {host} to NO_PROXY"
    scheme = proxy.partition("://")[0].lower()
    if scheme.startswith("socks"):
        raise ConfigurationError(f"{source}: SOCKS proxies are not supported; {ways}")
    if scheme not in _SCHEMES:
        raise ConfigurationError(f"{source}: a proxy cannot have the scheme {scheme}; {ways}")
    if not _is_url(proxy):
        raise ConfigurationError(f"{source}: invalid URL of a proxy; {ways}")


def _is_url(proxy: str) -> bool:
    try:
        parts = urlsplit(proxy)
        return bool(parts.hostname) and parts.port != 0 and proxy.isprintable() and " " not in proxy
    except ValueError:
        return False


def _source(kind: str) -> str:
    """Return the variable that sets a proxy, or what else does."""
    names = (f"{kind}_proxy", f"{kind}_proxy".upper())
    return next((name for name in names if os.environ.get(name)), "the proxy settings of the system")
