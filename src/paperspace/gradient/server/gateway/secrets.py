"""The certificate of the gateway, as Envoy gets it: renewed when its files change."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from paperspace.gradient._shared.event_loops import monotonic
from paperspace.gradient.server.controller.gateway import GatewayUnavailableError
from paperspace.gradient.server.gateway.certificate import read_certificate, signature
from paperspace.gradient.server.gateway.listener import secrets
from paperspace.gradient.server.gateway.resources import SECRETS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from paperspace.gradient.server.gateway.envoy import Envoy
    from paperspace.gradient.server.gateway.options import Certificate

# Seconds until a certificate that cannot be used is tried again, although its files did not change.
_RETRY_INTERVAL = 60.0


class Secrets:
    """The file with the certificate.

    Args:
        certificate: Where the certificate comes from.
        envoy: Reads the file.
        in_effect: Returns when Envoy has applied a file.
    """

    def __init__(
        self, certificate: Certificate, envoy: Envoy, in_effect: Callable[[Iterable[str]], Awaitable[bool]]
    ) -> None:
        self._certificate = certificate
        self._envoy = envoy
        self._in_effect = in_effect
        self._signature: object = None  # of the certificate that was read last
        self._retry_at = inf  # if it is not in use

    def write(self) -> None:
        """Write the file.

        Raises:
            GatewayUnavailableError: the certificate cannot be used.
        """
        self._signature, self._retry_at = signature(self._certificate), monotonic() + _RETRY_INTERVAL
        self._envoy.files.write(SECRETS, secrets(*read_certificate(self._certificate)))
        self._retry_at = inf

    async def renew(self) -> None:
        """Use a new certificate, if it has changed. The file was read or written before.

        Raises:
            GatewayUnavailableError: it cannot be used, so far. The one before stays, until a later call.
        """
        if signature(self._certificate) == self._signature and monotonic() < self._retry_at:
            return
        before = self._envoy.files.resources(SECRETS)
        self.write()
        try:
            await self._in_effect([SECRETS])
        except GatewayUnavailableError:
            problem = self._envoy.explained(f"The gateway refuses the TLS certificate {self._certificate.chain}")
            self._retry_at = monotonic() + _RETRY_INTERVAL
            self._envoy.files.write(SECRETS, before)
            raise GatewayUnavailableError(problem) from None
