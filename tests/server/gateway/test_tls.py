"""TLS: a certificate is checked before it is used, and a renewed one is used at once."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.faults.certificates import make_certificate
from tests.server.gateway.site import LONG, Load, Replica, until

from paperspace.gradient.server.controller.gateway import GatewayUnavailableError
from paperspace.gradient.server.gateway import gateway as gateway_module
from paperspace.gradient.server.gateway import secrets as secrets_module
from paperspace.gradient.server.gateway.gateway import EnvoyGateway
from paperspace.gradient.server.gateway.options import Certificate

pytestmark = pytest.mark.anyio

Create = Callable[..., EnvoyGateway]


@pytest.fixture(autouse=True)
def quick_maintenance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the certificate more often."""
    monkeypatch.setattr(gateway_module, "_MAINTENANCE_INTERVAL", 0.05)


def make(folder: Path, curve: ec.EllipticCurve | None = None) -> Certificate:
    """Make a certificate."""
    made = make_certificate(folder, curve=curve)
    return Certificate(made.path, made.key)


async def served_certificate(gateway: EnvoyGateway) -> bytes:
    """Return the certificate that the gateway uses now."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection("127.0.0.1", gateway._port, ssl=context)
    session = writer.get_extra_info("ssl_object")
    writer.close()
    assert session.selected_alpn_protocol() == "h2"
    return bytes(session.getpeercert(binary_form=True))


def pem_to_der(file: Path) -> bytes:
    """Return a certificate as it is sent."""
    return ssl.PEM_cert_to_DER_cert(file.read_text())


async def test_renewed_certificate(new_gateway: Create, tmp_path: Path) -> None:
    """A renewed certificate is used without a new process. One that cannot be used yet is not."""
    certificate = make(tmp_path / "certificate")
    gateway = new_gateway(certificate=certificate)
    await gateway.open()
    first = await served_certificate(gateway)
    assert first == pem_to_der(certificate.chain)
    renewed = make(tmp_path / "renewed")
    renewed.chain.replace(certificate.chain)  # the key follows later
    await asyncio.sleep(0.3)
    assert await served_certificate(gateway) == first
    renewed.key.replace(certificate.key)
    expected = pem_to_der(certificate.chain)
    async with asyncio.timeout(30):
        while await served_certificate(gateway) != expected:  # noqa: ASYNC110  # it is another process
            await asyncio.sleep(0.05)


async def test_comments_in_a_certificate(new_gateway: Create, tmp_path: Path) -> None:
    """The files can have comments with any characters, such as the name of the owner."""
    certificate = make(tmp_path)
    expected = pem_to_der(certificate.chain)
    for file in certificate:
        file.write_bytes("subject=O = Société\n".encode() + file.read_bytes())
    gateway = new_gateway(certificate=certificate)
    await gateway.open()
    assert await served_certificate(gateway) == expected


async def test_certificate_that_envoy_refuses(
    new_gateway: Create, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A certificate that only Envoy refuses is an error at the start. Later, the previous one stays in use."""
    monkeypatch.setattr(gateway_module, "_APPLY_TIMEOUT", 1.0)
    good = make(tmp_path / "good")
    refused = make(tmp_path / "refused", curve=ec.SECP256K1())
    with pytest.raises(GatewayUnavailableError, match=r"The gateway refuses its configuration: .*certificate"):
        await new_gateway(certificate=refused).open()
    gateway = new_gateway(certificate=good)
    await gateway.open()
    first = await served_certificate(gateway)
    refused.chain.replace(good.chain)
    refused.key.replace(good.key)
    await until(lambda: "The gateway continues to use the previous certificate." in caplog.text)
    assert await served_certificate(gateway) == first
    await gateway.expose("x")
    pid = (folder / "envoy.pid").read_text()
    await gateway.close()
    with pytest.raises(GatewayUnavailableError, match=r"The gateway refuses the TLS certificate .*good/certificate"):
        await new_gateway(certificate=good).open()  # now the refused one
    assert await served_certificate(gateway) == first
    again = new_gateway(certificate=make(tmp_path / "third"))
    await again.open()
    assert await served_certificate(again) != first
    assert (folder / "envoy.pid").read_text() == pid  # what it refused once does not matter


async def test_certificate_that_cannot_be_used_yet(
    new_gateway: Create, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If Envoy does not respond when a certificate is renewed, or a file cannot be read, the new one is used later."""
    monkeypatch.setattr(gateway_module, "_APPLY_TIMEOUT", 0.5)
    monkeypatch.setattr(secrets_module, "_RETRY_INTERVAL", 0.1)
    certificate = make(tmp_path / "certificate")
    gateway = new_gateway(certificate=certificate)
    await gateway.open()

    async def expect_renewed() -> None:
        expected = pem_to_der(certificate.chain)
        async with asyncio.timeout(LONG):
            while await served_certificate(gateway) != expected:  # noqa: ASYNC110  # it is another process
                await asyncio.sleep(0.05)

    def renew(name: str) -> None:
        renewed = make(tmp_path / name)
        renewed.key.replace(certificate.key)
        renewed.chain.replace(certificate.chain)

    envoy = gateway._supervisor.pid
    assert envoy
    os.kill(envoy, signal.SIGSTOP)
    renew("second")
    await until(lambda: "The gateway continues to use the previous certificate." in caplog.text)
    os.kill(envoy, signal.SIGCONT)
    await expect_renewed()

    def not_readable(_certificate: Certificate) -> None:
        raise GatewayUnavailableError("The key is not readable yet.")

    with monkeypatch.context() as patch:
        patch.setattr(secrets_module, "read_certificate", not_readable)
        renew("third")
        await until(lambda: "The key is not readable yet." in caplog.text)
    await expect_renewed()


async def test_from_http_to_https(new_gateway: Create, tmp_path: Path, replicas: list[Replica], folder: Path) -> None:
    """The next server can use TLS on the same port, and without it again, without a new process. Then no file has the key."""
    plain, secure, again = new_gateway(), new_gateway(certificate=make(tmp_path)), new_gateway()
    await plain.open()
    await plain.route("x", "a", replicas[0].target)
    pid = (folder / "envoy.pid").read_text()
    await plain.close()
    await secure.open()
    assert secure.endpoint_url("x") == f"https://127.0.0.1:{plain._port}/endpoints/x"
    assert await served_certificate(secure)
    await secure.close()
    assert (folder / "sds.json").exists()
    await again.open()
    assert not (folder / "sds.json").exists()
    async with Load(again).running() as load:
        await load.more(10)
    assert load.lost == []
    assert (folder / "envoy.pid").read_text() == pid


async def test_from_http_to_https_after_a_failed_start(new_gateway: Create, tmp_path: Path) -> None:
    """A start with TLS that fails because of its port does not prevent the next one, with another port."""
    plain, certificate = new_gateway(), make(tmp_path)
    await plain.open()
    await plain.close()
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        with pytest.raises(GatewayUnavailableError, match="another program uses this port"):
            await new_gateway(certificate=certificate, port=port).open()
    secure = new_gateway(certificate=certificate)
    await secure.open()
    assert await served_certificate(secure) == pem_to_der(certificate.chain)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda path: path.chain.unlink(),
            r"The TLS file .*certificate\.pem cannot be read: No such file or directory\.",
        ),
        (
            lambda path: path.key.write_bytes(b"\xff"),
            r"cannot be used: one of the files is not a PEM file of a certificate or key\.",
        ),
        (
            lambda path: path.key.write_text("no key"),
            r"cannot be used: one of the files is not a PEM file of a certificate or key\.",
        ),
        (
            lambda path: path.chain.write_text("no certificate"),
            r"cannot be used: one of the files is not a PEM file of a certificate or key\.",
        ),
        (
            lambda path: make(path.key.parent / "other").key.replace(path.key),
            r"cannot be used: the key belongs to another certificate\.",
        ),
        (
            lambda path: path.key.write_bytes(encrypted(path.key.read_bytes())),
            r"cannot be used: the key is encrypted; remove its password\.",
        ),
    ],
)
async def test_certificate_that_cannot_be_used(
    new_gateway: Create, tmp_path: Path, damage: Callable[[Certificate], object], message: str
) -> None:
    """Each defect of a certificate is an error that says what is wrong. A process that runs is not disturbed."""
    first = new_gateway()
    await first.open()
    await first.close()
    certificate = make(tmp_path)
    damage(certificate)
    with pytest.raises(GatewayUnavailableError, match=message):
        await new_gateway(certificate=certificate).open()
    async with Load(first).running():
        pass


def encrypted(key: bytes) -> bytes:
    """Return a private key, protected by a password."""
    private = serialization.load_pem_private_key(key, None)
    algorithm = serialization.BestAvailableEncryption(b"secret")
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, algorithm)
