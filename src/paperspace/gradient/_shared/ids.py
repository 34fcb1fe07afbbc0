"""The ids of deployments, specs and everything else: UUIDs."""

from __future__ import annotations

import re
from typing import TypeGuard

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def is_uuid(value: object) -> TypeGuard[str]:
    """Whether a value is a UUID as text, in its form with hyphens."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None
