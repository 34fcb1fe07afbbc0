"""Pulls from registries: what is pulled when, how it is pinned, and the messages if it fails."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import web
from tests.engine.conftest import WEB, new_key, opened, workload
from tests.engine.private_engine import PrivateEngine, busybox
from tests.engine.private_registry import PASSWORD, USER, registry

from paperspace.gradient.server.controller.engine import ImageError
from paperspace.gradient.server.docker.address import Address
from paperspace.gradient.server.docker.engine import DockerEngine
from paperspace.gradient.server.docker.images import Pull
from paperspace.gradient.server.docker.registries import Registry
from paperspace.gradient.server.docker.requirements import Settings
from paperspace.gradient.server.engines.runtime import UnsupportedSpecError
from paperspace.gradient.server.settings_files import write_settings

pytestmark = pytest.mark.anyio

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry(tmp_path_factory.mktemp("registries") / "public") as host:
        yield host


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry(tmp_path_factory.mktemp("registries") / "private", password=True) as host:
        yield host


@pytest.fixture
def push(docker: PrivateEngine) -> Iterator[Callable[[str, str], None]]:
    """Push an image with a new content, and remove it from the engine."""
    pushed = []

    def new_image(reference: str, content: str) -> None:
        docker.import_image(reference, {**busybox(), "content": content, "filling": os.urandom(2_000_000)})
        docker.docker("push", reference)
        docker.docker("rmi", reference)
        pushed.append(reference)

    yield new_image
    for reference in pushed:
        docker.docker("rmi", reference, check=False)


def content_of(docker: PrivateEngine, image: str) -> str:
    """Return the file `content` of an image."""
    container = docker.docker("create", "--network", "none", image, "x").stdout.strip()
    try:
        return docker.docker("cp", f"{container}:/content", "-").stdout.replace("\0", "").splitlines()[-1][-1]
    finally:
        docker.docker("rm", container)


@pytest.fixture(scope="module")
def digests_of_all_images(docker: PrivateEngine) -> bool:
    """Whether the engine has containerd's image store: images that were built here have a digest too."""
    return "containerd" in docker.docker("info", "--format", "{{.DriverStatus}}").stdout


async def test_local_image_is_pinned_by_its_content(
    engine: DockerEngine, docker: PrivateEngine, *, digests_of_all_images: bool
) -> None:
    """An image that was built here is used without a pull, although its tag may be `latest`, and pinned by its id."""
    docker.docker("tag", WEB, "web:latest")
    id_ = docker.docker("inspect", "--format", "{{.Id}}", WEB).stdout.strip()
    expected = f"docker.io/library/web@{id_}" if digests_of_all_images else id_
    progress: list[str] = []
    assert (await engine.resolve(workload(WEB), progress.append)).id == expected
    assert progress == []
    for image in ("web", "web:latest"):
        id_, note = await engine.resolve(workload(image), progress.append)
        assert id_ == expected
        assert bool(note) == digests_of_all_images  # then the registry is asked
    assert progress == []


async def test_latest_that_was_built_here(
    engine: DockerEngine,
    docker: PrivateEngine,
    public: str,
    push: Callable[[str, str], None],
    *,
    digests_of_all_images: bool,
) -> None:
    """An image that was built here is not replaced by one with the same name in the registry, and a note says so."""
    image = f"{public}/built:latest"
    push(image, "a")
    docker.import_image(image, {**busybox(), "content": "b"})
    pinned, note = await engine.resolve(workload(image), lambda _: None)
    assert content_of(docker, pinned) == "b"
    said = (
        f"Image {image} of this machine is not in {public}: it may have been built here. "
        "The image that is already on this machine is used."
    )
    assert note == (said if digests_of_all_images else None)


async def test_pull(
    engine: DockerEngine,
    docker: PrivateEngine,
    public: str,
    push: Callable[[str, str], None],
    *,
    digests_of_all_images: bool,
) -> None:
    """A missing image is pulled, with its progress, and pinned by its digest; a pinned image never changes."""
    image = f"{public}/team/app:1"
    push(image, "a")
    progress: list[str] = []
    pinned = (await engine.resolve(workload(image), progress.append)).id
    assert pinned.startswith(f"{public}/team/app@sha256:")
    assert content_of(docker, pinned) == "a"
    assert progress[0] == f"Pulling {image}."
    if not digests_of_all_images:  # containerd's store reports the progress now and then: this image is too small
        assert progress[-1] == f"Pulling {image}, 100 %."
    percentages = [int(line.split()[-2]) for line in progress[1:]]
    assert percentages == sorted(set(percentages))

    docker.docker("rmi", image)
    push(image, "b")  # the tag moves
    assert (await engine.resolve(workload(image, image_id=pinned), progress.append)).id == pinned
    assert content_of(docker, pinned) == "a"
    newer = (await engine.resolve(workload(image), progress.append)).id
    assert content_of(docker, newer) == "b"


async def test_which_images_are_pulled_again(
    docker: PrivateEngine, public: str, push: Callable[[str, str], None]
) -> None:
    """`latest` is pulled for each new revision, other tags only if they are missing; `--pull` changes both."""
    for tag in ("1", "latest"):
        push(f"{public}/again:{tag}", "a")
    found = {}
    for pull in Pull:
        for tag in ("1", "latest"):
            image = f"{public}/again:{tag}"
            push(image, "a")
            docker.docker("pull", image)
            old = docker.docker("inspect", "--format", "{{.Id}}", image).stdout.strip()
            docker.docker("tag", old, "kept:1")
            push(image, "b")
            docker.docker("pull", f"{image}")
            docker.docker("tag", "kept:1", image)  # here the old content, in the registry the new one
            async with opened(docker, Settings(pull=pull)) as engine:
                found[pull, tag] = content_of(docker, (await engine.resolve(workload(image), lambda _: None)).id)
            docker.docker("rmi", "--force", old)
    assert found == {
        (Pull.MISSING, "1"): "a",
        (Pull.MISSING, "latest"): "b",
        (Pull.ALWAYS, "1"): "b",
        (Pull.ALWAYS, "latest"): "b",
        (Pull.NEVER, "1"): "a",
        (Pull.NEVER, "latest"): "a",
    }


async def test_latest_without_its_registry(
    docker: PrivateEngine, engine: DockerEngine, tmp_path: Path, push: Callable[[str, str], None]
) -> None:
    """If the registry of `latest` is down, the image of this machine runs, and a note says so."""
    with registry(tmp_path / "registry") as host:
        image = f"{host}/app"
        push(image, "a")
        docker.docker("pull", image)
    pinned, note = await engine.resolve(workload(image), lambda _: None)
    assert content_of(docker, pinned) == "a"
    assert note
    assert note.startswith(f"Image {image} cannot be pulled: ")
    assert note.endswith("connection refused. The image that is already on this machine is used.")


async def test_never_pull(docker: PrivateEngine, public: str) -> None:
    """With `--pull never`, a missing image is an error that says so."""
    async with opened(docker, Settings(pull=Pull.NEVER)) as engine:
        with pytest.raises(ImageError, match="is not on this machine, and the server runs with --pull never") as caught:
            await engine.resolve(workload(f"{public}/nosuch:1"), lambda _: None)
        assert caught.value.permanent


@pytest.mark.parametrize("name", ["team/app:nosuch", "nosuch:1", "nosuch@sha256:" + "0" * 64])
async def test_unknown_image(engine: DockerEngine, public: str, push: Callable[[str, str], None], name: str) -> None:
    """An unknown repository, tag or digest is one sentence."""
    push(f"{public}/team/app:1", "a")
    with pytest.raises(ImageError) as caught:
        await engine.resolve(workload(f"{public}/{name}"), lambda _: None)
    assert str(caught.value) == f"Image {public}/{name} was not found: {public} has no image with this name and tag."
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (
            None,
            "The registry HOST needs credentials for image HOST/app:1. Store them with `gradient server registries set`",
        ),
        ("wrong", "The registry HOST refused the credentials for image HOST/app:1: wrong user name or password."),
    ],
)
async def test_credentials(
    docker: PrivateEngine, private: str, tmp_path: Path, stored: str | None, message: str
) -> None:
    """Missing and wrong credentials are two different sentences; with the right ones, the image is pulled."""
    file = tmp_path / "registries"
    image = f"{private}/app:1"
    async with opened(docker, Settings(registries_file=file)) as engine:
        name = None
        if stored is not None:
            write_settings(file, {"mine": Registry(private, USER, stored)})
            name = "mine"
        with pytest.raises(ImageError) as caught:
            await engine.resolve(workload(image, registry=name), lambda _: None)
        assert str(caught.value).startswith(message.replace("HOST", private))
        assert caught.value.permanent

        docker.import_image(image, busybox())
        docker.push(image, private, USER, PASSWORD)
        write_settings(file, {"mine": Registry(private, USER, PASSWORD)})  # read at each pull
        pinned = (await engine.resolve(workload(image, registry="mine"), lambda _: None)).id
        assert pinned.startswith(f"{private}/app@sha256:")
        docker.docker("rmi", "--force", image, pinned, check=False)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "registry.invalid"])
async def test_registry_that_does_not_respond(engine: DockerEngine, host: str) -> None:
    """If the registry cannot be reached, another attempt may succeed."""
    with pytest.raises(ImageError, match=f"^Image {host}/app:1 cannot be pulled: ") as caught:
        await engine.resolve(workload(f"{host}/app:1"), lambda _: None)
    assert not caught.value.permanent


async def test_a_pull_that_is_cancelled(engine: DockerEngine) -> None:
    """The engine ends a download that nothing waits for any more, for example because the deployment was deleted."""
    begun, ended = asyncio.Event(), asyncio.Event()
    config, layer = ({"digest": f"sha256:{digit * 64}", "size": 1_000_000_000} for digit in "01")
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}).encode()
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        if "/blobs/" not in request.path:
            headers = {"Content-Type": MANIFEST, "Docker-Content-Digest": digest}
            return web.Response(body=manifest, headers=headers)
        response = web.StreamResponse(headers={"Content-Length": "1000000000"})
        await response.prepare(request)
        begun.set()
        with suppress(ConnectionError):  # when the engine closes the connection
            while True:
                await response.write(b"x" * 1000)
                await asyncio.sleep(0.02)
        ended.set()
        return response

    runner = web.ServerRunner(web.Server(respond), shutdown_timeout=0.1)  # Docker 20.10 ends only the layer's download
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        _, port = runner.addresses[0]
        pull = asyncio.create_task(engine.resolve(workload(f"127.0.0.1:{port}/app:1"), lambda _: None))
        await asyncio.wait_for(begun.wait(), 60)
        await asyncio.sleep(0.5)  # until the engine has begun to respond
        pull.cancel()
        await asyncio.wait([pull])
        await asyncio.wait_for(ended.wait(), 60)
    finally:
        await runner.cleanup()


async def test_a_reference_that_the_engine_refuses(engine: DockerEngine) -> None:
    """The engine has more rules for references than the server: what it refuses fails with its reason."""
    with pytest.raises(ImageError, match=r"^The engine refuses the image: .*more than 255 characters\.$") as caught:
        await engine.resolve(workload("a" * 256), lambda _: None)
    assert caught.value.permanent


async def test_pinned_image_that_was_removed(
    engine: DockerEngine, docker: PrivateEngine, public: str, push: Callable[[str, str], None]
) -> None:
    """`docker image prune` does not stop a deployment: its image is pulled again, by its digest."""
    image = f"{public}/pruned:1"
    push(image, "a")
    pinned = (await engine.resolve(workload(image), lambda _: None)).id
    docker.docker("rmi", "--force", pinned)
    assert (await engine.resolve(workload(image, image_id=pinned), lambda _: None)).id == pinned
    assert content_of(docker, pinned) == "a"
    local = workload("gone:1", image_id="sha256:" + "0" * 64)
    with pytest.raises(ImageError, match="was removed from this machine, and did not come from a registry"):
        await engine.resolve(local, lambda _: None)


async def test_credentials_are_not_sent_to_another_registry(
    docker: PrivateEngine, private: str, tmp_path: Path
) -> None:
    """A spec cannot send the credentials of one registry to another one."""
    file = tmp_path / "registries"
    write_settings(file, {"mine": Registry(private, USER, PASSWORD)})
    engine = DockerEngine(Settings(registries_file=file), Address(docker.url, "the test"))
    with pytest.raises(UnsupportedSpecError, match="Credentials are not sent to another host"):
        engine.check(workload("evil.example.com/app:1", registry="mine"))
    with pytest.raises(UnsupportedSpecError, match="Unknown registry other; known: mine"):
        engine.check(workload(f"{private}/app:1", registry="other"))


async def test_a_pinned_image_runs(
    engine: DockerEngine, public: str, docker: PrivateEngine, free_port: Callable[[], int]
) -> None:
    """A container runs the pinned image, not what its tag is now, also if no registry has it."""
    image = f"{public}/run:1"
    docker.docker("tag", WEB, image)
    pinned = (await engine.resolve(workload(image), lambda _: None)).id
    docker.docker("tag", "shell:1", image)
    assert (await engine.resolve(workload(image, image_id=pinned), lambda _: None)).id == pinned
    container = await engine.start(new_key(), workload(image, image_id=pinned), free_port())
    running = docker.docker("inspect", "--format", "{{.Image}}", container.id, WEB, check=False).stdout.split()[0]
    assert running == docker.docker("image", "inspect", "--format", "{{.Id}}", WEB).stdout.strip()
