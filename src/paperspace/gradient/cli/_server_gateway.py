"""The gateway of `gradient server`, for deployments in containers."""

from __future__ import annotations

import re
from pathlib import Path
from secrets import token_hex
from tempfile import gettempdir
from typing import TYPE_CHECKING, NamedTuple

import click

from paperspace.gradient.cli._option_groups import option_group

if TYPE_CHECKING:
    from paperspace.gradient.server.controller.gateway import Gateway

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*", re.IGNORECASE)


class GatewayOptions(NamedTuple):
    """The options about the gateway."""

    gateway_host: str
    gateway_port: int
    endpoint_domain: str | None
    tls_cert: Path | None
    tls_key: Path | None
    envoy: Path | None
    external_gateway: bool


def _check_domain(_context: click.Context, _option: click.Parameter, domain: str | None) -> str | None:
    if domain is not None and not _DOMAIN.fullmatch(domain):
        raise click.BadParameter(f"Pass a domain such as models.example.com, not {domain}.")
    return domain


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

envoy_option = click.option(
    "--envoy",
    type=_FILE,
    metavar="PATH",
    help="The path of the Envoy program. Default: the one that the extra docker installs, or else `envoy` in PATH.",
)

gateway_options = option_group(
    "gateway",
    GatewayOptions,
    click.option(
        "--gateway-host",
        metavar="HOST",
        default="127.0.0.1",
        show_default=True,
        help="The host that the gateway listens on. Endpoints need no API key.",
    ),
    click.option(
        "--gateway-port",
        type=click.IntRange(0, 65535),
        default=8601,
        show_default=True,
        help="The port that the gateway listens on. 0 selects a free port: the server then "
        "uses this port again each time it starts with the same database, until `gradient server down` stops the gateway.",
    ),
    click.option(
        "--endpoint-domain",
        metavar="DOMAIN",
        callback=_check_domain,
        help="The domain of endpoints. The host of an endpoint is d<ID>.DOMAIN, where <ID> is the id of the deployment. "
        "The DNS entry *.DOMAIN must point to the gateway. Without --tls-cert, it must point to a proxy in front of the "
        "gateway that accepts HTTPS.",
    ),
    click.option(
        "--tls-cert", type=_FILE, metavar="PATH", help="The certificate of the gateway, in PEM format, for TLS."
    ),
    click.option("--tls-key", type=_FILE, metavar="PATH", help="The private key of the certificate."),
    envoy_option,
    click.option(
        "--external-gateway",
        is_flag=True,
        help="Do not start the gateway, but write its configuration for `gradient server gateway`, which runs it.",
    ),
)


def make_gateway(options: GatewayOptions, database: str | Path) -> Gateway:
    """Return the gateway of a database, which is not started yet.

    Raises:
        GatewayUnavailableError: the Envoy program does not exist.
        UsageError: the options contradict each other.
    """
    from paperspace.gradient.server.defaults import gateway_folder
    from paperspace.gradient.server.gateway.binary import find_envoy
    from paperspace.gradient.server.gateway.gateway import EnvoyGateway
    from paperspace.gradient.server.gateway.options import Certificate, Options
    from paperspace.gradient.server.storage.files import IN_MEMORY

    if (options.tls_cert is None) != (options.tls_key is None):
        raise click.UsageError("Pass both --tls-cert and --tls-key, or neither.")
    ephemeral = str(database) == IN_MEMORY
    if options.external_gateway and (ephemeral or options.envoy):
        other = "--envoy to `gradient server gateway`" if options.envoy else "the path of a file with --database"
        raise click.UsageError(f"With --external-gateway, pass {other}.")
    if not options.external_gateway:
        find_envoy(options.envoy)  # fails before anything is started
    certificate = Certificate(options.tls_cert, options.tls_key) if options.tls_cert and options.tls_key else None
    return EnvoyGateway(
        Options(
            Path(gettempdir(), f"gradient-gateway-{token_hex(8)}") if ephemeral else gateway_folder(database),
            options.gateway_host,
            options.gateway_port,
            options.endpoint_domain,
            certificate,
            options.envoy,
            ephemeral,
            options.external_gateway,
        )
    )
