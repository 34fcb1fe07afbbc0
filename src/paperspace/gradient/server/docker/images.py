"""Images: make sure that one is present, pull it if it is not, and pin its content."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from contextlib import aclosing
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiodocker
import aiohttp

from paperspace.gradient.server.controller.engine import ImageError
from paperspace.gradient.server.docker.commands import message_of, plain
from paperspace.gradient.server.docker.references import LATEST, Reference, parse_reference

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from paperspace.gradient.server.controller.engine import Workload
    from paperspace.gradient.server.docker.api import Api
    from paperspace.gradient.server.docker.registries import Registry

# A pull that reports nothing for this long is ended.
_SILENCE = 600.0
_NO_TIMEOUT = aiohttp.ClientTimeout(sock_connect=5)


class Pull(StrEnum):
    """When to pull the image of a new revision."""

    MISSING = "missing"
    """If it is not present, or if its tag is `latest` and it came from a registry, which may have a newer one."""
    ALWAYS = "always"
    NEVER = "never"


async def resolve(
    api: Api, workload: Workload, credentials: Registry | None, pull: Pull, progress: Callable[[str], None]
) -> str:
    """Make sure that the image of a workload is present, and return what pins it: its digest, or else its id.

    Raises:
        ImageError: it cannot be pulled.
    """
    if workload.image_id is not None:
        await _restore(api, workload.image, workload.image_id, credentials, progress)
        return workload.image_id
    reference = parse_reference(workload.image)
    present = await _inspect(api, workload.image)
    if present is not None and not _needs_pull(reference, present, pull):
        return _pin(reference, present)
    if pull is Pull.NEVER:
        raise ImageError(
            f"Image {workload.image} is not on this machine, and the server runs with --pull never.", permanent=True
        )
    try:
        await _pull(api, reference, workload.image, credentials, progress)
    except ImageError as error:
        if present is None or pull is Pull.ALWAYS:
            raise
        progress(f"{error} The image that is already on this machine is used.")
        return _pin(reference, present)
    pulled = await _inspect(api, workload.image)
    if pulled is None:
        raise ImageError(f"Image {workload.image} was removed while it was pulled.", permanent=False)
    return _pin(reference, pulled)


async def _restore(
    api: Api, image: str, image_id: str, credentials: Registry | None, progress: Callable[[str], None]
) -> None:
    """Pull a pinned image again if it was removed."""
    if await _inspect(api, image_id) is not None:
        return
    if "@" not in image_id:
        raise ImageError(
            f"Image {image} of this revision was removed from this machine, and did not come from a registry. "
            "Update the deployment to an image that exists.",
            permanent=False,
        )
    await _pull(api, parse_reference(image_id), image, credentials, progress)


def _needs_pull(reference: Reference, present: Mapping[str, Any], pull: Pull) -> bool:
    """Whether to pull an image that is present already."""
    if pull is Pull.MISSING:
        return reference.tag == LATEST and bool(present.get("RepoDigests"))  # without digests, it was built here
    return pull is Pull.ALWAYS and reference.digest is None


async def _inspect(api: Api, image: str) -> dict[str, Any] | None:
    """Return what is known of an image; None if it does not exist.

    Raises:
        ImageError: the engine refuses the reference. Each version has other rules.
    """
    with api.requests():
        try:
            return await api.client.images.inspect(image)
        except aiodocker.DockerError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise ImageError(f"The engine refuses the image: {plain(error.message)}", permanent=True) from error
            raise


def _pin(reference: Reference, image: Mapping[str, Any]) -> str:
    """Return the digest, with which the image can be pulled again; or the id, if it did not come from a registry."""
    digests = (parse_reference(text) for text in image.get("RepoDigests") or ())
    same = (str(digest) for digest in digests if digest.name == reference.name)
    return next(same, str(image["Id"]))


# Pulls


async def _pull(
    api: Api, reference: Reference, image: str, credentials: Registry | None, progress: Callable[[str], None]
) -> None:
    """Pull an image, and report the progress."""
    progress(f"Pulling {image}.")
    percentage = Percentage()
    try:
        async with asyncio.timeout(_SILENCE) as silence, aclosing(_messages(api, reference, credentials)) as messages:
            async for message in messages:
                silence.reschedule(asyncio.get_running_loop().time() + _SILENCE)
                if percentage.add(message):
                    progress(f"Pulling {image}, {percentage.value} %.")
    except _PullError as error:
        raise pull_error(image, reference.registry, error.status, error.message, credentials is not None) from error
    except TimeoutError as error:
        raise ImageError(f"Image {image}: the pull made no progress for {_SILENCE:.0f} s.", permanent=False) from error


class _PullError(Exception):
    """The engine cannot pull an image.

    Attributes:
        status: Of its response.
        message: What it says.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


async def _messages(api: Api, reference: Reference, credentials: Registry | None) -> AsyncGenerator[dict[str, Any]]:
    """Pull an image, and yield the messages of the engine. The engine pulls until the generator is closed.

    aiodocker's pull keeps its connection when it is cancelled, so that the engine would continue.

    Raises:
        _PullError: the image cannot be pulled.
    """
    headers = {}
    if credentials:
        auth = {"username": credentials.username, "password": credentials.password, "serveraddress": reference.registry}
        headers["X-Registry-Auth"] = base64.urlsafe_b64encode(json.dumps(auth).encode()).decode()
    with api.requests():
        async with api.client.session.post(
            api.url("images/create"), params={"fromImage": str(reference)}, headers=headers, timeout=_NO_TIMEOUT
        ) as response:
            if response.status != HTTPStatus.OK:
                raise _PullError(response.status, message_of(await response.text()))
            async for line in response.content:
                message: dict[str, Any] = json.loads(line)
                if error := message.get("error"):
                    raise _PullError(HTTPStatus.OK, error)
                yield message


class Percentage:
    """How much of an image is downloaded. It never decreases, although layers are announced one after another."""

    def __init__(self) -> None:
        self.value = 0
        self._layers: dict[str, tuple[int, int]] = {}

    def add(self, message: Mapping[str, Any]) -> bool:
        """Add a message of the engine, and return whether the percentage changed."""
        layer, status, detail = message.get("id", ""), message.get("status"), message.get("progressDetail") or {}
        if status == "Downloading" and detail.get("total"):
            self._layers[layer] = (detail["current"], detail["total"])
        elif status in {"Download complete", "Pull complete"} and layer in self._layers:
            self._layers[layer] = (self._layers[layer][1], self._layers[layer][1])
        total = sum(total for _, total in self._layers.values())
        value = total and sum(current for current, _ in self._layers.values()) * 100 // total
        changed = value > self.value
        self.value = max(value, self.value)
        return changed


# The engine passes on what the registry says, with statuses that vary. The first pattern that occurs applies.
_DENIED = re.compile(r"pull access denied|requested access to the resource is denied", re.IGNORECASE)
_NO_CREDENTIALS = re.compile(r"no basic auth credentials|authentication required|unauthorized", re.IGNORECASE)
_UNKNOWN = re.compile(
    r"manifest unknown|name unknown|not found: |repository .* not found|does not exist", re.IGNORECASE
)
_OTHER_PLATFORM = re.compile(r"no matching manifest|does not match the (specified|requested) platform", re.IGNORECASE)
_HINT = "Store them with `gradient server registries set`, and name them in `containerRegistry`."


def pull_error(image: str, registry: str, status: int, message: str, has_credentials: bool) -> ImageError:
    """Return the error for a pull that failed.

    Args:
        image: The image, as in the spec.
        registry: The registry that it is in.
        status: The status of the engine's response.
        message: The engine's message.
        has_credentials: Whether credentials were sent.
    """
    if _DENIED.search(message):
        if has_credentials:
            text = f"Image {image} was not found in {registry}, or the credentials do not give access to it."
        else:
            text = f"Image {image} was not found in {registry}, or needs credentials. {_HINT}"
    elif status == HTTPStatus.UNAUTHORIZED or _NO_CREDENTIALS.search(message):
        if has_credentials:
            text = f"The registry {registry} refused the credentials for image {image}: wrong user name or password."
        else:
            text = f"The registry {registry} needs credentials for image {image}. {_HINT}"
    elif _UNKNOWN.search(message) or status == HTTPStatus.NOT_FOUND:
        text = f"Image {image} was not found: {registry} has no image with this name and tag."
    elif _OTHER_PLATFORM.search(message):
        text = f"Image {image} does not exist for the platform of this machine."
    else:
        return ImageError(f"Image {image} cannot be pulled: {message.strip().rstrip('.')}.", permanent=False)
    return ImageError(text, permanent=True)
