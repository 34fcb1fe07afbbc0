"""The events of deployments on a real engine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine.private_engine import PrivateEngine
from tests.engine.site import Site, running_site, spec, wait_for

from paperspace.gradient import errors


@pytest.fixture
def site(docker: PrivateEngine, tmp_path: Path) -> Iterator[Site]:
    with running_site(docker, tmp_path) as site:
        yield site


def events(site: Site, id_: str) -> dict[str, Any]:
    """Return the last event of each reason."""
    listed = site.api.get_deployment_events(id_)
    return {event["reason"]: event for event in reversed(listed)}


def test_a_container_that_crashes_again_and_again(site: Site) -> None:
    """Crashes are one warning with their number, the exit code and the last output; the error of the wait has it."""
    id_ = site.create("mnist", spec("mnist", script="echo out of luck >&2; exit 7", resources={"instanceType": "C10"}))
    wait_for(lambda: events(site, id_).get("Crashed", {}).get("count") == 2)
    with pytest.raises(
        errors.WaitTimeoutError, match=r"Crashed \(\d times\): Exited with code 7 .*out of luck"
    ) as caught:
        site.api.wait_for_deployment(id_, timeout=3)
    told = events(site, id_)
    assert "out of luck" in told["Crashed"]["message"]
    assert told["LimitsReduced"]["message"].startswith("Instance type C10 has 32 CPUs")
    assert re.fullmatch(r"The containers of this revision run \S*sha256:\w+\.", told["Pulled"]["message"])
    assert {event["severity"] for event in caught.value.events} == {"WARNING"}


def test_an_image_that_does_not_exist(site: Site, docker: PrivateEngine) -> None:
    """A failed pull is a warning. After an update to another image, the container starts, and starts again after a kill."""
    id_ = site.create("mnist", spec("mnist", image="127.0.0.1:1/nosuch:1"))
    wait_for(lambda: "PullFailed" in events(site, id_))
    assert "127.0.0.1:1/nosuch:1 cannot be pulled" in events(site, id_)["PullFailed"]["message"]
    site.api.update_deployment("mnist", "p", spec("mnist"), wait=True)
    wait_for(lambda: "Serving" in events(site, id_))
    told = events(site, id_)
    assert "image (127.0.0.1:1/nosuch:1 to shell:1)" in told["RolloutStarted"]["message"]
    assert {"Started", "Ready"} <= told.keys()
    docker.docker("kill", site.containers(id_)[0]["id"])
    wait_for(lambda: events(site, id_)["Ready"]["count"] == 2)
    told = events(site, id_)
    assert told["Crashed"]["message"].startswith("Ended by SIGKILL (crash 1); restarting after 1 s.")
    assert told["Started"]["count"] == 2
