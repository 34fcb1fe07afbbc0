"""The address that the gateway listens on (LDS), its TLS, and the responses that it sends itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.error_codes import Code
from paperspace.gradient.server.gateway import route_configuration
from paperspace.gradient.server.gateway.address import netloc
from paperspace.gradient.server.gateway.basic_auth import basic_auth_filter
from paperspace.gradient.server.gateway.resources import (
    HEADERS_TIMEOUT,
    IDLE_TIMEOUT,
    ROUTES,
    SECRETS,
    Resource,
    http2_options,
    source,
    typed,
)
from paperspace.gradient.server.protection import UNAUTHORIZED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STAT_PREFIX = "gateway"
# Before a connection is closed, for the client to read something: after it, the rest of the response is dropped. A client that
# sends a large body and reads nothing meanwhile needs so long to notice that its request was refused.
_CLOSE_TIMEOUT = "10s"

SECRET = "certificate"  # noqa: S105  # its name


def listeners(folder: Path, address: str, port: int, domain: str | None, *, tls: bool) -> Sequence[Resource]:
    """Return the listener.

    Args:
        folder: The other files.
        address: An IP address.
        port: The port.
        domain: Endpoints have a host in this domain too. Without TLS, a proxy in front of the gateway accepts HTTPS.
        tls: Whether it uses the certificate in the secrets.
    """
    proxies = 1 if domain and not tls else 0
    chain: Resource = {"filters": [_named("envoy.filters.network.http_connection_manager", _http(folder, proxies))]}
    if tls:
        chain["transport_socket"] = _named("envoy.transport_sockets.tls", _tls(folder))
    return [
        typed(
            "envoy.config.listener.v3.Listener",
            # Another address is another listener, so that the one before ends its active requests.
            name=f"{address} {port}",
            address={"socket_address": {"address": address, "port_value": port}},
            enable_reuse_port=False,  # with it, two gateways could listen on the same port
            filter_chains=[chain],
        )
    ]


def secrets(chain: str, key: str) -> Sequence[Resource]:
    """Return the certificate as a secret."""
    certificate = {"certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key}}
    name = "envoy.extensions.transport_sockets.tls.v3.Secret"
    return [typed(name, name=SECRET, tls_certificate=certificate)]


def read_socket(resources: Any) -> tuple[str, int]:
    """Return the IP address and the port of a listener.

    Raises:
        LookupError, TypeError, ValueError: it is not what `listeners` returns.
    """
    [listener] = resources
    known = listener["address"]["socket_address"]
    return str(known["address"]), int(known["port_value"])


def read_tls(resources: Any) -> bool:
    """Return whether a listener uses the certificate.

    Raises:
        LookupError, TypeError, ValueError: it is not what `listeners` returns.
    """
    [listener] = resources
    return "transport_socket" in listener["filter_chains"][0]


def read_address(resources: Any) -> str:
    """Return the address of a listener, such as `127.0.0.1:8601`.

    Raises:
        LookupError, TypeError, ValueError: it is not what `listeners` returns.
    """
    return netloc(*read_socket(resources))


def _named(name: str, configuration: Resource) -> Resource:
    return {"name": name, "typed_config": configuration}


def _tls(folder: Path) -> Resource:
    secret = {"name": SECRET, "sds_config": source(folder, SECRETS)}
    context = {"alpn_protocols": ["h2", "http/1.1"], "tls_certificate_sds_secret_configs": [secret]}
    name = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
    return typed(name, common_tls_context=context)


def _http(folder: Path, proxies: int) -> Resource:
    """Return how requests are read and forwarded: unchanged, except for the headers that say who sent them."""
    router = typed("envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True)
    return typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=STAT_PREFIX,
        rds={"route_config_name": route_configuration.NAME, "config_source": source(folder, ROUTES)},
        http_filters=[basic_auth_filter(), _named("envoy.filters.http.router", router)],
        http_protocol_options={"accept_http_10": True, "default_host_for_http_10": "localhost"},
        http2_protocol_options=http2_options(),
        upgrade_configs=[{"upgrade_type": "websocket"}],
        common_http_protocol_options={"idle_timeout": IDLE_TIMEOUT},
        stream_idle_timeout=IDLE_TIMEOUT,
        delayed_close_timeout=_CLOSE_TIMEOUT,
        request_headers_timeout=HEADERS_TIMEOUT,
        use_remote_address=True,  # X-Forwarded-For ends with the address of the client
        xff_num_trusted_hops=proxies,  # only a proxy knows the right X-Forwarded-Proto
        # No client is trusted with Envoy's own request headers. Without any range, all private addresses would be.
        internal_address_config={"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]},
        generate_request_id=False,
        server_header_transformation="PASS_THROUGH",
        local_reply_config=_local_responses(),
    )


def _local_responses() -> Resource:
    """Return the responses of the gateway itself, in the form of the errors of our API."""
    retry_later = {"header": {"key": "retry-after", "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    unavailable = Code.SERVICE_UNAVAILABLE
    unauthorized = {"op": "EQ", "value": {"default_value": 401, "runtime_key": "gradient.unauthorized"}}
    return {
        "mappers": [
            {
                "filter": {"status_code_filter": {"comparison": unauthorized}},
                "body_format_override": _error(UNAUTHORIZED, Code.UNAUTHENTICATED),
            },
            {
                **_for_flags("NR"),
                "body_format_override": _error("there is no deployment endpoint at this URL", Code.NOT_FOUND),
            },
            {
                **_for_flags("UH"),
                "headers_to_add": [retry_later],
                "body_format_override": _error("no replica of this deployment is ready", unavailable),
            },
            {
                **_for_flags("UF"),
                "headers_to_add": [retry_later],
                "body_format_override": _error("the replica does not accept connections", unavailable),
            },
            {
                **_for_flags("UC", "UR", "LR"),
                "status_code": 502,
                "body_format_override": _error(
                    "the connection to the replica was lost before it responded", unavailable
                ),
            },
            {**_for_flags("UPE"), "body_format_override": _error("the replica sent an invalid response", unavailable)},
        ],
        "body_format": _error("%LOCAL_REPLY_BODY%", Code.BAD_USER_INPUT),
    }


def _for_flags(*flags: str) -> Resource:
    return {"filter": {"response_flag_filter": {"flags": list(flags)}}}


def _error(message: str, code: Code) -> Resource:
    return {"json_format": {"errors": [{"message": message, "extensions": {"code": str(code)}}]}}
