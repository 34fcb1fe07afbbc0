"""Certificates that are made while the tests run, by the openssl command."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple


class Certificate(NamedTuple):
    path: Path
    context: ssl.SSLContext


def make_certificate(folder: Path, *, host: str = "localhost", days: int = 1) -> Certificate:
    """A certificate that vouches for itself, and a server's context with it. Negative days: it has expired."""
    folder.mkdir(parents=True, exist_ok=True)
    extensions = folder / "extensions"
    extensions.write_text(f"subjectAltName=DNS:{host}\nbasicConstraints=critical,CA:true\n")
    request, key, path = folder / "request.pem", folder / "key.pem", folder / "certificate.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _openssl("req", "-new", *curve, "-subj", f"/CN={host}", "-keyout", str(key), "-out", str(request))
    signing = ["-signkey", str(key), "-days", str(days), "-extfile", str(extensions)]
    _openssl("x509", "-req", "-in", str(request), *signing, "-out", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key)
    return Certificate(path, context)


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
