"""Where the gateway listens, and the URLs of endpoints."""

from __future__ import annotations

import errno
import socket

from paperspace.gradient.server.controller.gateway import GatewayUnavailableError
from paperspace.gradient.server.gateway.route_configuration import endpoint_host, endpoint_path

_HTTPS_PORT = 443


def ip_address(host: str) -> str:
    """Return the IP address of a host.

    Raises:
        GatewayUnavailableError: the host cannot be resolved.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise GatewayUnavailableError(f"The host name {host} cannot be resolved. Correct --gateway-host.") from error
    return str(found[0][4][0])


def free_port(address: str, port: int) -> int:
    """Return a port that can be listened on: this one, or any free one for 0.

    Raises:
        GatewayUnavailableError: it is in use, or not allowed.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.create_server((address, port), family=family) as listener:
            return int(listener.getsockname()[1])
    except OSError as error:
        where = netloc(address, port)
        match error.errno:
            case errno.EADDRINUSE:
                reason = "another program uses this port. Stop it, or select another port with --gateway-port"
            case errno.EADDRNOTAVAIL:
                reason = "no network interface of this machine has this address. Correct --gateway-host"
            case errno.EACCES:
                reason = "only the system administrator may use this port. Select another one with --gateway-port"
            case _:
                reason = (error.strerror or str(error)).rstrip(".")
        raise GatewayUnavailableError(f"The gateway cannot listen on {where}: {reason}.") from error


def endpoint_url(deployment_id: str, host: str, port: int, domain: str | None, *, tls: bool) -> str:
    """Return the URL of an endpoint.

    With a domain but without TLS, a proxy in front of the gateway accepts HTTPS.
    """
    if domain:
        visible = f":{port}" if tls and port != _HTTPS_PORT else ""
        return f"https://{endpoint_host(deployment_id, domain)}{visible}"
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared only
    return f"{'https' if tls else 'http'}://{netloc(address, port)}{endpoint_path(deployment_id)}"


def netloc(address: str, port: int) -> str:
    """Return an address with its port, as in a URL."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
