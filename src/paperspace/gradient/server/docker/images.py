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

from paperspace.gradient.server.controller.engine import Image, ImageError
from paperspace.gradient.server.docker.commands import message_of, plain
from paperspace.gradient.server.docker.references import LATEST, Reference, parse_reference

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from paperspace.gradient.server.controller.engine import Workload
    from paperspace.gradient.server.docker.api import Api
    from paperspace.gradient.server.docker.registries import Registry

# Seconds. A pull that reports nothing for this long is ended.
_SILENCE = 600.0
_ORIGIN_TIMEOUT = 60.0
_NO_TIMEOUT = aiohttp.ClientTimeout(sock_connect=5)


class Pull(StrEnum):
    """When to pull the image of a new revision."""

    MISSING = "missing"
    """If it is not present, or if its tag is `latest` and it came from a registry, which may have a newer one."""
    ALWAYS = "always"
    NEVER = "never"


async def resolve(
    api: Api, workload: Workload, credentials: Registry | None, pull: Pull, progress: Callable[[str], None]
) -> Image:
    """Make sure that the image of a workload is present, and return what pins it: its digest, or else its id.

    Raises:
        ImageError: it cannot be pulled.
    """
    if workload.image_id is not None:
        await _restore(api, workload.image, workload.image_id, credentials, progress)
        return Image(workload.image_id)
    reference = parse_reference(workload.image)
    present = await _inspect(api, workload.image)
    if present is not None and not _needs_pull(reference, present, pull):
        return Image(_pin(reference, present))
    if pull is Pull.NEVER:
        raise ImageError(
            f"Image {workload.image} is not on this machine, and the server runs with --pull never.", permanent=True
        )
    try:
        if present is not None and pull is Pull.MISSING:
            await _check_origin(api, reference, workload.image, present, credentials)
        await _pull(api, reference, workload.image, credentials, progress)
    except ImageError as error:
        if present is None or pull is Pull.ALWAYS:
            raise
        return Image(_pin(reference, present), f"{error} The image that is already on this machine is used.")
    pulled = await _inspect(api, workload.image)
    if pulled is None:
        raise ImageError(f"Image {workload.image} was removed while it was pulled.", permanent=False)
    return Image(_pin(reference, pulled))


async def _restore(
    api: Api, image: str, image_id: str, credentials: Registry | None, progress: Callable[[str], None]
) -> None:
    """Pull a pinned image again if it was removed."""
    if await present_as(api, image_id) is not None:
        return
    if "@" not in image_id:
        raise ImageError(
            f"Image {image} of this revision was removed from this machine, and did not come from a registry. "
            "Update the deployment to an image that exists.",
            permanent=False,
        )
    await _pull(api, parse_reference(image_id), image, credentials, progress)


async def present_as(api: Api, image_id: str) -> str | None:
    """Return what the engine calls a pinned image now. None: it is not on this machine.

    In containerd's image store, an image loses its name when its tag moves. There, its digest is its id.
    """
    _, _, digest = image_id.rpartition("@")
    for name in dict.fromkeys([image_id, digest]):
        if await _inspect(api, name) is not None:
            return name
    return None


def _needs_pull(reference: Reference, present: Mapping[str, Any], pull: Pull) -> bool:
    """Whether to pull an image that is present already."""
    if pull is Pull.MISSING:
        # Without a digest, it was built here.
        return reference.tag == LATEST and bool(present.get("RepoDigests"))
    return pull is Pull.ALWAYS and reference.digest is None


async def _check_origin(
    api: Api, reference: Reference, image: str, present: Mapping[str, Any], credentials: Registry | None
) -> None:
    """Check that a present image came from its registry: a pull would replace one that was built here with another one.

    In containerd's image store, images that were built here have a digest too. So the registry is asked for it.

    Raises:
        ImageError: the registry does not have the image, or cannot be asked.
    """
    pin = parse_reference(_pin(reference, present))
    if pin.digest != present["Id"]:
        return  # this is not containerd's image store
    try:
        async with asyncio.timeout(_ORIGIN_TIMEOUT):
            status, text = await _ask_registry(api, pin, credentials)
    except TimeoutError as error:
        raise ImageError(f"Image {image}: {pin.registry} does not respond in time.", permanent=False) from error
    if status == HTTPStatus.NOT_FOUND:
        raise ImageError(
            f"Image {image} of this machine is not in {pin.registry}: it may have been built here.", permanent=True
        )
    if status != HTTPStatus.OK:
        raise pull_error(image, pin.registry, status, message_of(text), credentials is not None)


async def _ask_registry(api: Api, pin: Reference, credentials: Registry | None) -> tuple[int, str]:
    """Ask for an image in its registry, and return the status and the body of the engine's response."""
    with api.requests():
        async with api.client.session.get(
            api.url(f"distribution/{pin}/json"), headers=_authentication(pin, credentials), timeout=_NO_TIMEOUT
        ) as response:
            return response.status, await response.text()


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
    with api.requests():
        async with api.client.session.post(
            api.url("images/create"),
            params={"fromImage": str(reference)},
            headers=_authentication(reference, credentials),
            timeout=_NO_TIMEOUT,
        ) as response:
            if response.status != HTTPStatus.OK:
                raise _PullError(response.status, message_of(await response.text()))
            async for line in response.content:
                message: dict[str, Any] = json.loads(line)
                if error := message.get("error"):
                    raise _PullError(HTTPStatus.OK, error)
                yield message


def _authentication(reference: Reference, credentials: Registry | None) -> dict[str, str]:
    """Return the header with the credentials for a registry."""
    if credentials is None:
        return {}
    auth = {"username": credentials.username, "password": credentials.password, "serveraddress": reference.registry}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(auth).encode()).decode()}


class Percentage:
    """How much of an image is downloaded. It never decreases, although layers are announced one after another."""

    def __init__(self) -> None:
        self.value = 0
        self._layers: dict[str, tuple[int, int]] = {}

    def add(self, message: Mapping[str, Any]) -> bool:
        """Add a message of the engine, and return whether the percentage changed."""
        layer, status, detail = message.get("id", ""), message.get("status"), message.get("progressDetail") or {}
        if status == "Downloading" and detail.get("total"):
            self._layers[layer] = (detail.get("current", 0), detail["total"])  # a zero is left out
        elif status in {"Download complete", "Pull complete"} and layer in self._layers:
            self._layers[layer] = (self._layers[layer][1], self._layers[layer][1])
        total = sum(total for _, total in self._layers.values())
        value = total and sum(current for current, _ in self._layers.values()) * 100 // total
        changed = value > self.value
        self.value = max(value, self.value)
        return changed


# The engine passes on what the registry says, with statuses that vary. The first pattern that occurs applies.
_DENIED = re.compile(r"pull access denied|requested access to the resource is denied", re.IGNORECASE)
_NO_BASIC_AUTH = "no basic auth credentials"  # with containerd's image store, after "pull access denied"
_NO_CREDENTIALS = re.compile(rf"{_NO_BASIC_AUTH}|authentication required|unauthorized", re.IGNORECASE)
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
    if _DENIED.search(message) and _NO_BASIC_AUTH not in message:
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
