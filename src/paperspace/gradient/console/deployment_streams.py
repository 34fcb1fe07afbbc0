"""Streams of the page of one deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paperspace.gradient.console.calls import Stream

STREAMS: dict[str, Stream] = {}
