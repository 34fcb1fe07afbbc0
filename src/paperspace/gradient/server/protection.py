"""Protected endpoints: the user name and the password of each, from a secret or generated."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from paperspace.gradient._shared.private_files import exclusive_change, read_private, write_private
from paperspace.gradient.server.engines.runtime import UnsupportedSpecError
from paperspace.gradient.server.secrets import SecretValues

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

USER = "gradient"
"""The user name of all protected endpoints."""
HOSTED_USER = "paperspace"
"""The user name that the hosted service had. It is accepted too, so that its clients need no change."""
MIN_LENGTH = 20
"""Characters of a password. The gateway has its SHA-1, without a salt: shorter ones could be found by trying."""

MAX_LENGTH = 1024
"""Characters of a password. Servers refuse long headers, the simulation those of more than 8 KiB: nobody could log in."""

UNAUTHORIZED = "this endpoint is protected: the user name or the password is missing or wrong"
"""The message of a response with status 401."""

_FIELD = "endpointSecurity.secret"
_KEY_BYTES = 32
_PASSWORD_BYTES = 16


class Access(NamedTuple):
    """Who may use a protected endpoint: who knows the password."""

    digest: str | None
    """The SHA-1 of the password, in base64. None: it is unknown, because its secret was deleted."""

    def allows(self, authorization: str | None) -> bool:
        """Return whether the header `Authorization` of a request has the user name and the password."""
        scheme, _, encoded = (authorization or "").partition(" ")
        try:
            user, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        known = user in (USER.encode(), HOSTED_USER.encode())
        same = hmac.compare_digest(digest_of(password), self.digest or "")
        return scheme.lower() == "basic" and known and same


def digest_of(password: bytes) -> str:
    """Return the digest of a password."""
    return base64.b64encode(hashlib.sha1(password).digest()).decode()  # noqa: S324  # the gateway knows no other


class Passwords:
    """The passwords of protected endpoints.

    A generated password is derived from a key and the id of the deployment: only the key is stored.

    Args:
        secrets_file: The file with the stored secrets. None: only the environment has secrets.
        key_file: The file with the key, which is created if it is needed. None: the key is forgotten.
    """

    def __init__(self, secrets_file: Path | None = None, key_file: Path | None = None) -> None:
        self._secrets_file = secrets_file
        self._key_file = key_file
        self._key: bytes | None = None
        self._lock = threading.Lock()

    def check(self, spec: Mapping[str, Any]) -> None:
        """Check that the secret of a spec exists, and is neither too short nor too long.

        Raises:
            UnsupportedSpecError: it does not, or is not.
        """
        security = spec.get("endpointSecurity") or {}
        if security.get("protected") and security.get("secret") is not None:
            self._stored(security["secret"])

    def problem(self, security: Mapping[str, Any]) -> str | None:
        """Return why the password of a protected endpoint is unknown, and what to do. None: it is known.

        Args:
            security: The field `endpointSecurity` of its spec.
        """
        try:
            self.check({"endpointSecurity": security})
        except UnsupportedSpecError as error:
            return str(error)
        return None

    def access(self, deployment_id: str, security: Mapping[str, Any]) -> Access:
        """Return who may use an endpoint.

        Args:
            deployment_id: The id of the deployment.
            security: The field `endpointSecurity` of its spec.
        """
        try:
            return Access(digest_of(self.password(deployment_id, security).encode()))
        except UnsupportedSpecError:
            return Access(None)

    def password(self, deployment_id: str, security: Mapping[str, Any]) -> str:
        """Return the password of an endpoint: that of its secret, or the generated one.

        Raises:
            UnsupportedSpecError: the secret does not exist, or is too short or too long.
        """
        name = security.get("secret")
        return self.generated(deployment_id) if name is None else self._stored(name)

    def generated(self, deployment_id: str) -> str:
        """Return the generated password of an endpoint, with 128 bits."""
        code = hmac.digest(self._read_key(), deployment_id.encode(), "sha256")[:_PASSWORD_BYTES]
        return base64.urlsafe_b64encode(code).decode().rstrip("=")

    def _stored(self, name: str) -> str:
        password = SecretValues(self._secrets_file).named(name, _FIELD)
        if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
            raise UnsupportedSpecError(
                f"{_FIELD}: the secret {name} has {len(password)} characters; a password has {MIN_LENGTH} to {MAX_LENGTH}. Store "
                f"another value with `gradient server secrets set {name}`, or remove `secret`: then the server generates one."
            )
        return password

    def _read_key(self) -> bytes:
        with self._lock:
            if self._key is None:
                self._key = _stored_key(self._key_file) if self._key_file else secrets.token_bytes(_KEY_BYTES)
            return self._key


def _stored_key(file: Path) -> bytes:
    """Return the key of a file, which is created if it does not exist or is empty. Another process may create it too."""
    if key := _read(file):
        return key  # without a lock: another program may have locked the folder, and requests would wait for it
    with exclusive_change(file):
        if not _read(file):
            write_private(file, secrets.token_hex(_KEY_BYTES) + "\n")
        return _read(file)


def _read(file: Path) -> bytes:
    """Return the content of a file. Empty: it does not exist."""
    with suppress(FileNotFoundError):
        return read_private(file).strip()
    return b""
