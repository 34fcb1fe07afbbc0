"""References of images, the progress of pulls, and the messages of pulls that fail."""

from __future__ import annotations

import pytest

from paperspace.gradient.server.docker.images import Percentage, pull_error
from paperspace.gradient.server.docker.references import parse_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/team/app", "docker.io/team/app:latest"),
        ("tensorflow/serving", "docker.io/tensorflow/serving:latest"),
        ("ghcr.io/team/sub/app:v1", "ghcr.io/team/sub/app:v1"),
        ("localhost/app", "localhost/app:latest"),
        ("registry:5000/app", "registry:5000/app:latest"),
        ("127.0.0.1:5000/team/app:1", "127.0.0.1:5000/team/app:1"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}"),
        (f"ghcr.io/app:1@{DIGEST}", f"ghcr.io/app@{DIGEST}"),
        ("a_b/c__d/e-f.g", "docker.io/a_b/c__d/e-f.g:latest"),
    ],
)
def test_references(image: str, full: str) -> None:
    """The registry, the tag and the folder that a reference leaves out are those that Docker uses."""
    assert str(parse_reference(image)) == full
    assert str(parse_reference(full)) == full


@pytest.mark.parametrize(
    "image",
    [
        *("", "App", "team/App", "app:", "app:a b", "../containers/x", "app?x=1", "app#x", "a//b", "é"),
        *("app@sha256:12", f"app@sha256:{'a' * 63}", f"app@sha256:{'A' * 64}", f"app@md5:{'a' * 32}"),
    ],
)
def test_invalid_references(image: str) -> None:
    """What is not a reference is refused: it would become a part of a path of the engine's API."""
    with pytest.raises(ValueError):  # noqa: PT011  # its message is the image
        parse_reference(image)


def test_percentage() -> None:
    """The percentage never decreases, although layers are announced one after another, and ends with 100."""
    percentage = Percentage()
    seen = []
    for layer, status, current, total in [
        ("a", "Pulling fs layer", 0, 0),
        ("a", "Downloading", 30, 100),
        ("b", "Downloading", 1, 900),
        ("a", "Download complete", 0, 0),
        ("b", "Downloading", 500, 900),
        ("b", "Downloading", 500, 900),
        ("b", "Download complete", 0, 0),
        ("b", "Extracting", 1, 900),
        ("c", "Already exists", 0, 0),
    ]:
        message = {
            "id": layer,
            "status": status,
            "progressDetail": {"current": current, "total": total} if total else {},
        }
        if percentage.add(message):
            seen.append(percentage.value)
    assert seen == [30, 60, 100]


def test_percentage_of_a_download_that_begins() -> None:
    """A download without any bytes yet has 0 %: the engine leaves out fields of progress that are 0."""
    percentage = Percentage()
    messages = [
        {"id": layer, "status": "Downloading", "progressDetail": detail}
        for layer, detail in [("a", {"total": 100}), ("a", {"current": 50, "total": 100}), ("b", {"total": 100})]
    ]
    assert [percentage.add(message) for message in messages] == [False, True, False]
    assert percentage.value == 50


@pytest.mark.parametrize("has_credentials", [False, True])
@pytest.mark.parametrize(
    ("status", "message", "without", "with_credentials"),
    [
        (
            404,
            "pull access denied for team/app, repository does not exist or may require 'docker login': denied",
            "was not found in docker.io, or needs credentials",
            "was not found in docker.io, or the credentials do not give access to it",
        ),
        (
            404,
            "manifest for team/app:9 not found: manifest unknown: manifest unknown",
            "no image with this",
            "no image with",
        ),
        (
            500,
            "Get https://r/v2/: unauthorized: incorrect username or password",
            "needs credentials",
            "wrong user name",
        ),
        (500, "Head https://r/v2/app/manifests/1: no basic auth credentials", "needs credentials", "wrong user name"),
        (
            404,
            "pull access denied, repository does not exist or may require authorization: no basic auth credentials",
            "The registry docker.io needs credentials",
            "wrong user name",
        ),
        (
            0,
            "no matching manifest for linux/s390x in the manifest list entries",
            "platform of this",
            "platform of this",
        ),
    ],
)
def test_permanent_failures(
    status: int, message: str, without: str, with_credentials: str, *, has_credentials: bool
) -> None:
    """Failures that another attempt would not change are permanent, with the cause in one sentence."""
    error = pull_error("team/app:9", "docker.io", status, message, has_credentials)
    assert (with_credentials if has_credentials else without) in str(error)
    assert error.permanent


@pytest.mark.parametrize(
    "message",
    [
        "Get https://r/v2/: dial tcp: lookup r: no such host",
        "toomanyrequests: You have reached your pull rate limit",
        "write /var/lib/docker/tmp/x: no space left on device",
        "Get https://r/v2/: net/http: TLS handshake timeout",
    ],
)
def test_temporary_failures(message: str) -> None:
    """Other failures may pass: the message of the engine is shown."""
    error = pull_error("app:1", "docker.io", 500, message, has_credentials=False)
    assert str(error) == f"Image app:1 cannot be pulled: {message}."
    assert not error.permanent
