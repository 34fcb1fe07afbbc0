"""The certificates that a client trusts, from the environment: REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, SSL_CERT_FILE and SSL_CERT_DIR."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from paperspace.gradient.errors import ConfigurationError


def variable() -> str:
    """Return the variable that counts for the file of trusted certificates."""
    return next((name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name)), "SSL_CERT_FILE")


def trusted_for(url: str, proxy: str | None) -> ssl.SSLContext | bool:
    """Return what to trust for a URL, as aiohttp takes it. True: what it trusts by default, or there is no TLS.

    Raises:
        ConfigurationError: The certificates that the environment names cannot be read.
    """
    encrypted = any(address.startswith("https:") for address in (url, proxy or ""))
    return (encrypted and load()) or True


def load() -> ssl.SSLContext | None:
    """Load the certificates that the environment names. None: it names none.

    Raises:
        ConfigurationError: They cannot be read.
    """
    name = variable()
    if name == "SSL_CERT_FILE":
        # OpenSSL itself reads these two, but aiohttp's own context would have their values of when aiohttp was imported.
        is_named = any(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
        return ssl.create_default_context() if is_named else None
    path = os.environ[name]
    try:
        is_folder = Path(path).is_dir()
        return ssl.create_default_context(cafile=None if is_folder else path, capath=path if is_folder else None)
    except OSError:
        raise ConfigurationError(f"{name}: cannot read certificates from {path}") from None
