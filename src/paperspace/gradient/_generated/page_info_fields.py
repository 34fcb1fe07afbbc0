# Generated from graphql/operations/PageInfoFields.graphql by scripts/regenerate; change that file and run it again.
"""The fragment `PageInfoFields`: a selection of `PageInfo`."""

from __future__ import annotations

from typing_extensions import TypedDict


class PageInfo(TypedDict):
    """Where a page stands in the whole list."""

    hasNextPage: bool
    """Whether the list has items after this page."""

    endCursor: str | None
    """The cursor of the last item. Null: the page is empty."""
