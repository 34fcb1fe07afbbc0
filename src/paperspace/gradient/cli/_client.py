"""The way from a command to the functions: a client with the settings that the command was given."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from paperspace.gradient import config
from paperspace.gradient._core.defaults import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT
from paperspace.gradient.cli._commands import invocation
from paperspace.gradient.cli._errors import NoKeyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paperspace.gradient.deployments import Deployments


@contextmanager
def deployments(*, timeout: float = DEFAULT_TIMEOUT, max_retries: int = DEFAULT_MAX_RETRIES) -> Iterator[Deployments]:
    """The functions, on a client that is closed behind the block.

    Raises:
        NoKeyError: There is no API key.
    """
    from paperspace.gradient.client import Client

    given = invocation()
    if not (given.api_key or os.environ.get("PAPERSPACE_API_KEY") or config.read_config().get("apiKey")):
        raise NoKeyError(
            "there is no API key: give --api-key, set PAPERSPACE_API_KEY, or store one by `gradient apiKey KEY`; "
            "without an account, `gradient server` starts a local server and prints its key"
        )
    with Client(given.api_key, given.api_url, timeout=timeout, max_retries=max_retries) as client:
        yield client.deployments
