"""Secrets that a command reads from a prompt or from standard input, so that they are not in the history of the shell."""

from __future__ import annotations

import sys

import click

from paperspace.gradient._shared.private_files import MAX_BYTES
from paperspace.gradient.errors import ConfigurationError


def read_secret(name: str) -> tuple[str, str]:
    """Read a secret; return it and the name of its source. Standard input may have no end.

    Raises:
        ConfigurationError: Standard input is too long, or not UTF-8.
    """
    if sys.stdin.isatty():
        return click.prompt(name, hide_input=True, err=True), "the prompt"
    try:
        text = sys.stdin.read(MAX_BYTES + 1)
        text.encode()  # in some locales, other bytes are read as surrogates
    except UnicodeError:
        raise ConfigurationError(f"{name}: standard input is not UTF-8") from None
    if len(text) > MAX_BYTES:
        raise ConfigurationError(f"{name}: standard input is too long")
    return text, "standard input"
