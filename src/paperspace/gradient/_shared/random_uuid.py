"""Random UUIDs, also while a test replaces the functions of `uuid`."""

from __future__ import annotations

import os
from uuid import UUID


def random_uuid() -> UUID:
    """Return a new random UUID.

    Not from `uuid.uuid4`: tests replace it to get known ids. A module that is imported meanwhile would keep the replacement, and
    send the same `Idempotency-Key` with each change.
    """
    return UUID(bytes=os.urandom(16), version=4)
