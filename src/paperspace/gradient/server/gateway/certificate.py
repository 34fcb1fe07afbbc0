"""Read a TLS certificate, and check it before the gateway uses it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.gateway import GatewayUnavailableError

if TYPE_CHECKING:
    from paperspace.gradient.server.gateway.options import Certificate


def read_certificate(certificate: Certificate) -> tuple[str, str]:
    """Return the contents of the files: of the chain, and of the key.

    Raises:
        GatewayUnavailableError: they cannot be used.
    """
    texts = []
    for file in certificate:
        try:
            texts.append(file.read_text(encoding="latin-1"))  # comments, such as names, may have any encoding
        except OSError as error:
            reason = error.strerror or str(error)
            raise GatewayUnavailableError(f"The TLS file {file} cannot be read: {reason}.") from error
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*certificate, password=_no_password)
    except (OSError, ValueError) as error:
        reason = _reason(error)
        raise GatewayUnavailableError(f"The TLS certificate {certificate.chain} cannot be used: {reason}.") from error
    return texts[0], texts[1]


def signature(certificate: Certificate) -> object:
    """Return a value that changes when the files change."""
    result: list[object] = []
    for file in certificate:
        try:
            status = file.stat()
        except OSError:
            result.append(None)
        else:
            result.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(result)


def _no_password() -> str:
    raise ValueError("the key is encrypted; remove its password")


def _reason(error: Exception) -> str:
    match getattr(error, "reason", None):
        case "KEY_VALUES_MISMATCH":
            return "the key belongs to another certificate"
        case "NO_START_LINE" | None if isinstance(error, ssl.SSLError):
            return "one of the files is not a PEM file of a certificate or key"
        case reason:
            return str(reason or error).rstrip(".")
