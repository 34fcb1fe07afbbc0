"""The events of a deployment: what happened to it, when, why, and how often."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from paperspace.gradient._core.pagination import MAX_PAGE, iter_pages
from paperspace.gradient._generated.deployment_events import DEPLOYMENT_EVENTS, DeploymentEventsVariables
from paperspace.gradient.deployments._errors import naming_what_is_missing
from paperspace.gradient.deployments._queries import fetch_by_id, same_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from paperspace.gradient._core.pagination import Page
    from paperspace.gradient._core.session import Session
    from paperspace.gradient.types import DeploymentEvent

_LAST_WARNINGS = 5  # in the error of a wait


async def list_events(session: Session, id: str, first: int | None) -> list[DeploymentEvent]:
    """Return the events of a deployment, newest first; `first` at most.

    Raises:
        NotFoundError: No deployment has this id.
        BadRequestError: The server has no events.
    """
    if first == 0:
        return []
    events = [event async for page in _iter_event_pages(session, id, first) for event in page]
    if len(events) > MAX_PAGE:
        # An event that happened again in the meantime has moved to the first page, perhaps from one that was not read yet.
        newest = [event async for page in _iter_event_pages(session, id, MAX_PAGE) for event in page]
        known = {event["id"] for event in newest}
        events = [*newest, *(event for event in events if event["id"] not in known)][:first]
    return events


async def unread_events(session: Session, id: str, read: Mapping[str, str]) -> list[DeploymentEvent]:
    """Return the events of a deployment that happened since they were read, newest first.

    Args:
        session: The session to read them with.
        id: The id of the deployment.
        read: The last time of each event that was read, by its id.
    """
    unread: list[DeploymentEvent] = []
    async with aclosing(_iter_event_pages(session, id)) as pages:
        async for page in pages:
            new = [event for event in page if read.get(event["id"]) != event["dtLast"]]
            unread += new
            if len(new) < len(page):
                break
    return unread


def _iter_event_pages(session: Session, id: str, limit: int | None = None) -> AsyncGenerator[list[DeploymentEvent]]:
    return iter_pages(
        lambda size, after: _fetch_event_page(session, id, size, after), operation=DEPLOYMENT_EVENTS.name, limit=limit
    )


async def _fetch_event_page(session: Session, id: str, size: int, after: str | None) -> Page[DeploymentEvent]:
    variables = DeploymentEventsVariables(id=id, first=size, after=after)
    with naming_what_is_missing("events"):
        events = (await fetch_by_id(session, DEPLOYMENT_EVENTS, variables))["events"]
    return events["nodes"], events["pageInfo"]


async def last_warnings(session: Session, id: str, spec_id: str) -> list[DeploymentEvent]:
    """Return the last warnings about a spec, by time.

    Raises:
        NotFoundError: No deployment has this id.
        BadRequestError: The server has no events.
    """
    events = await list_events(session, id, MAX_PAGE)
    warnings = [event for event in events if event["severity"] == "WARNING" and _is_about(event, spec_id)]
    return warnings[:_LAST_WARNINGS][::-1]


def _is_about(event: DeploymentEvent, spec_id: str) -> bool:
    return event["deploymentSpecId"] is None or same_id(event["deploymentSpecId"], spec_id)
