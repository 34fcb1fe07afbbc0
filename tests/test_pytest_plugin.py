"""The pytest plugin works in the tests of a user as documented."""

from __future__ import annotations

import gzip
import importlib.util
import json
import logging
import os
import random
import subprocess
import sys
import threading
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from email.message import Message
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from freezegun import freeze_time
from tests.raw_client import Caller
from tools import TOP
from tools.docs.blocks import blocks_of

from paperspace.gradient import (
    APIConnectionError,
    APITimeoutError,
    Client,
    ClientClosedError,
    RateLimitError,
    _default_client,
    deployments,
)
from paperspace.gradient.pytest_plugin import GradientServer, ModelRequest, ModelResponse
from paperspace.gradient.server.http import model_responses

DOCUMENTATION = TOP / "docs/testing.md"
STATES = (
    "query ($name: String) { deployments(name: $name) { nodes { deploymentRollouts { nodes { deploymentRuns { nodes {"
    " readyReplicas deploymentRunInstances { nodes { state dtDeleted } } } } } } } } }"
)
SPEC: Any = {"image": "i", "resources": {"replicas": 2}}


def run(call: Caller, name: str, revision: int = 0) -> Any:
    """The run of a revision; 0 is the newest one."""
    (node,) = call(STATES, name=name).data["deployments"]["nodes"]
    return node["deploymentRollouts"]["nodes"][revision]["deploymentRuns"]["nodes"][0]


def states(call: Caller, name: str, revision: int = 0) -> list[str]:
    """The states of the instances of a revision that are not removed."""
    instances = run(call, name, revision)["deploymentRunInstances"]["nodes"]
    return [instance["state"] for instance in instances if instance["dtDeleted"] is None]


def test_environment_points_to_the_server(gradient_server: GradientServer) -> None:
    """The environment and the default client point to the server of the test."""
    assert os.environ["PAPERSPACE_API_URL"] == os.environ["PAPERSPACE_API_HOST"] == gradient_server.url
    assert os.environ["PAPERSPACE_API_KEY"] == gradient_server.api_key
    deployments.create_deployment("a", "p", SPEC)
    assert len(deployments.list_deployments()) == 1


def test_each_test_has_its_own_server(gradient_server: GradientServer) -> None:
    """The next test has a new server without deployments, and the functions use it."""
    assert deployments.list_deployments() == []
    assert gradient_server.url == os.environ["PAPERSPACE_API_URL"]


@pytest.mark.usefixtures("gradient_server")
def test_as_default() -> None:
    """The environment and the default client use a server only during the block, without the user's configuration file."""
    deployments.create_deployment("a", "p", SPEC)
    before = dict(os.environ)
    with GradientServer() as server:
        assert len(deployments.list_deployments()) == 1
        with server.as_default():
            assert deployments.list_deployments() == []
            assert os.environ["PAPERSPACE_API_KEY"] == server.api_key
            assert list(Path(os.environ["PAPERSPACE_CONFIG_PATH"]).iterdir()) == []
        assert (dict(os.environ), len(deployments.list_deployments())) == (before, 1)
    with Client(server.api_key, server.url, max_retries=0) as client, pytest.raises(APIConnectionError):
        client.deployments.list_deployments()


def test_blocks_that_overlap() -> None:
    """Of blocks that overlap, the last one counts, and the end of all restores the environment, in whatever order they end."""
    before, session = dict(os.environ), dict(_default_client._sessions)
    for order in permutations(range(3)):
        with ExitStack() as stack:
            servers = [stack.enter_context(GradientServer()) for _ in order]
            blocks = [server.as_default() for server in servers]
            for number, block in enumerate(blocks):
                block.__enter__()
                deployments.create_deployment(str(number), "p", SPEC)
            for ended, number in enumerate(order, 1):
                blocks[number].__exit__(None, None, None)
                if remaining := order[ended:]:
                    assert [entry["name"] for entry in deployments.list_deployments()] == [str(max(remaining))]
        assert (dict(os.environ), dict(_default_client._sessions)) == (before, session)


def test_control_from_several_threads(gradient_server: GradientServer) -> None:
    """Several threads may move the clock and choose what happens to an image at the same time: nothing is lost."""

    def control(number: int) -> None:
        for _ in range(500):
            gradient_server.advance(hours=1)
        for step in range(50):
            gradient_server.fail("a", image=f"{number}-{step}")

    before, interval = gradient_server._now(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as executor:
            list(executor.map(control, range(8)))
    finally:
        sys.setswitchinterval(interval)
    assert (gradient_server._now() - before) // timedelta(hours=1) == 4000
    assert len(gradient_server._simulation.scenarios["a"]) == 400


def test_a_wait_ends_with_the_test() -> None:
    """A thread that still waits in a test does not delay the end of pytest: its default client is closed."""
    ended: list[BaseException] = []

    def wait(id: str) -> None:
        try:
            deployments.wait_for_deployment(id, timeout=600)
        except ClientClosedError as error:
            ended.append(error)

    with GradientServer() as server, server.as_default():
        server.stay_pending("a")
        created = deployments.create_deployment("a", "p", SPEC)
        thread = threading.Thread(target=wait, args=(created["id"],))
        thread.start()
        while len(server.requests) < 2:
            time.sleep(0.01)
    thread.join(60)
    assert len(ended) == 1


def test_endpoint_password(gradient_server: GradientServer) -> None:
    """It is the password that the protected endpoint accepts."""
    spec: Any = {"image": "i", "endpointSecurity": {"protected": True}}
    created = deployments.create_deployment("a", "p", spec, wait=True)
    url = deployments.get_deployment_status(created["id"])["endpointUrl"] or ""
    header = b64encode(f"gradient:{gradient_server.endpoint_password(created['id'])}".encode()).decode()
    assert fetch(url)[0] == 401
    assert fetch(url, Authorization=f"Basic {header}")[0] == 200


def test_containers_start_fast(gradient_server: GradientServer) -> None:
    """Without any control, the instances of a deployment are healthy within 0.1 seconds."""
    call = Caller(gradient_server)
    call.create("a", spec=SPEC)
    time.sleep(0.1)
    assert states(call, "a") == ["healthy", "healthy"]


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize(
    ("control", "state"), [("fail", "errored"), ("crash_loop", "failed"), ("stay_pending", "pending")]
)
def test_fates(gradient_server: GradientServer, control: str, state: str, exists: bool) -> None:
    """A control affects the deployment with its name, whether it exists or is created later, until it recovers."""
    call = Caller(gradient_server)
    if exists:
        call.create("a", spec=SPEC)
        gradient_server.advance(minutes=1)
    getattr(gradient_server, control)("a")
    if not exists:
        call.create("a", spec=SPEC)
    call.create("b", spec=SPEC)
    gradient_server.advance(minutes=1)
    assert states(call, "a") == [state] * 2
    assert states(call, "b") == ["healthy"] * 2
    gradient_server.recover("a")
    gradient_server.advance(minutes=1)
    assert states(call, "a") == ["healthy"] * 2


def test_names_are_compared_as_the_server_does(gradient_server: GradientServer) -> None:
    """A control reaches all deployments with the name, however many they are and however its characters are composed."""
    call = Caller(gradient_server)
    name = "z\u00fcrich"
    for number in range(101):
        call.create(name, f"p{number}")
    gradient_server.fail("zu\u0308rich")
    gradient_server.load("zu\u0308rich", cpu=240)
    gradient_server.advance(minutes=1)
    for number in (0, 50, 100):
        [found] = deployments.list_deployment_statuses(project_id=f"p{number}")
        assert (found["name"], found["state"]) == (name, "failed")
    autoscaling = {"maxReplicas": 4, "metrics": [{"metric": "cpu", "value": 80}]}
    gradient_server.recover("zu\u0308rich")
    call.create(name, "p", spec={"image": "i", "resources": {"replicas": 1, "autoscaling": autoscaling}})
    gradient_server.advance(minutes=1)
    [scaled] = deployments.list_deployment_statuses(project_id="p")
    assert scaled["replicas"] == 3


@pytest.mark.parametrize(
    ("control", "state"), [("fail", "errored"), ("crash_loop", "failed"), ("stay_pending", "pending")]
)
def test_only_one_image(gradient_server: GradientServer, control: str, state: str) -> None:
    """With an image, a control affects only the revision with this image; the one before it serves on."""
    call = Caller(gradient_server)
    created = call.create("a", spec={"image": "v1"})
    gradient_server.advance(minutes=1)
    getattr(gradient_server, control)("a", image="v2")
    assert states(call, "a") == ["healthy"]
    call.update(created, spec={"image": "v2"})
    gradient_server.advance(minutes=1)
    assert (states(call, "a"), states(call, "a", revision=1)) == ([state], ["healthy"])
    gradient_server.recover("a")
    gradient_server.advance(minutes=1)
    assert states(call, "a") == ["healthy"]


@pytest.mark.parametrize("metric", ["cpu", "memory", "request_duration"])
def test_load(gradient_server: GradientServer, metric: str) -> None:
    """Load adds replicas up to the limit; they are removed five minutes after the load has fallen."""
    call = Caller(gradient_server)
    name = "requestDuration" if metric == "request_duration" else metric
    autoscaling = {"maxReplicas": 4, "metrics": [{"metric": name, "value": 80}]}
    call.create("a", spec={"image": "i", "resources": {"replicas": 2, "autoscaling": autoscaling}})
    counts = []
    for load, minutes in ((0, 1), (240, 1), (720, 1), (80, 4), (80, 6)):
        gradient_server.load("a", **{metric: load})
        gradient_server.advance(minutes=minutes)
        counts.append(run(call, "a")["readyReplicas"])
    assert counts == [2, 3, 4, 4, 2]


def test_durations_follow_the_clock(gradient_server: GradientServer) -> None:
    """A duration counts back from the clock of the server, also after `advance`, and while the time of the test is frozen."""
    with freeze_time("2020-05-17"):
        created = deployments.create_deployment("a", "p1", {"image": "nginx"}, wait=True)
        assert list(deployments.get_deployment_logs(created["id"], since="1h"))
        gradient_server.advance(hours=2)
        assert not list(deployments.get_deployment_logs(created["id"], since="1h"))
        assert list(deployments.get_deployment_logs(created["id"], since="3h"))


@pytest.mark.parametrize("load", [-1, float("inf"), float("nan")])
def test_load_must_be_a_number(gradient_server: GradientServer, load: float) -> None:
    """A load that is no finite number, or negative, raises an error."""
    with pytest.raises(ValueError, match="memory: expected a finite number, 0 or more"):
        gradient_server.load("a", memory=load)


@pytest.mark.parametrize(
    "advance",
    [{"hours": -1}, {"seconds": float("nan")}, {"minutes": "3"}, {"hours": 10**9}, {"hours": float("inf")}],
)
def test_wrong_times(gradient_server: GradientServer, advance: Any) -> None:
    """The clock cannot go back, nor to times that the server cannot compute; an error changes nothing."""
    with pytest.raises(ValueError, match=r"finite number, 0 or more|at most 100 years"):
        gradient_server.advance(**advance)
    gradient_server.advance(hours=99 * 365 * 24)
    with pytest.raises(ValueError, match="at most 100 years"):
        gradient_server.advance(hours=2 * 365 * 24)
    assert deployments.list_deployments() == []


@pytest.mark.parametrize("control", ["fail", "crash_loop", "stay_pending", "recover", "load"])
@pytest.mark.parametrize("name", ["", None])
def test_wrong_names(gradient_server: GradientServer, control: str, name: Any) -> None:
    """A name that no deployment can have is an error; one that none has yet is not."""
    with pytest.raises(ValueError, match="expected the name of a deployment"):
        getattr(gradient_server, control)(name)
    getattr(gradient_server, control)("later")


def test_rate_limit(gradient_server: GradientServer) -> None:
    """So many requests get RateLimitError with `retry_after`; the one after them succeeds."""
    gradient_server.rate_limit(2, retry_after=7)
    with Client(gradient_server.api_key, gradient_server.url, max_retries=0) as client:
        for _ in range(2):
            with pytest.raises(RateLimitError) as caught:
                client.deployments.list_deployments()
            assert caught.value.retry_after == 7
        assert client.deployments.list_deployments() == []


def test_delay(gradient_server: GradientServer) -> None:
    """The next response is delayed, the one after it is not."""
    gradient_server.delay(0.3)
    start = time.monotonic()
    deployments.list_deployments()
    assert time.monotonic() - start >= 0.3
    gradient_server.delay(3600)
    with Client(gradient_server.api_key, gradient_server.url, max_retries=0) as client:
        with pytest.raises(APITimeoutError):
            client.with_options(timeout=0.5).deployments.list_deployments()
        assert client.deployments.list_deployments() == []


@pytest.mark.parametrize("executed", [False, True])
def test_drop(gradient_server: GradientServer, executed: bool) -> None:
    """The connection closes without a response, and the request is executed or not, as asked for."""
    gradient_server.drop(executed=executed)
    call = Caller(gradient_server)
    with pytest.raises(OSError, match=r"reset|closed"):
        call.create("a")
    assert len(call("{ deployments { nodes { id } } }").data["deployments"]["nodes"]) == executed


PREDICT = "/v1/models/mnist:predict?signature=a%20b&x=1&x=2"


def endpoint(name: str) -> str:
    """Create a deployment, wait until it is ready, and return the URL of its endpoint."""
    created = deployments.create_deployment(name, "p", SPEC, wait=True)
    return deployments.get_deployment_status(created["id"])["endpointUrl"] or ""


def fetch(url: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes, Message]:
    """The status, body and headers of a response."""
    try:
        with urlopen(Request(url, data, headers)) as response:
            return response.status, response.read(), response.headers
    except HTTPError as error:
        return error.code, error.read(), error.headers


def test_respond(gradient_server: GradientServer) -> None:
    """The function gets each part of the request, and what it returns is the response."""
    requests: list[ModelRequest] = []

    def predict(request: ModelRequest) -> object:
        requests.append(request)
        return {"predictions": [sum(row) for row in request.json()["instances"]]}

    gradient_server.respond("mnist", predict)
    url = endpoint("mnist")
    status, body, headers = fetch(
        url + PREDICT, gzip.compress(b'{"instances": [[1, 2]]}'), **{"Content-Encoding": "gzip"}
    )
    assert (status, json.loads(body), headers["Content-Type"]) == (
        200,
        {"predictions": [3]},
        "application/json; charset=utf-8",
    )
    (request,) = requests
    assert (request.method, request.path) == ("POST", "/v1/models/mnist:predict")
    assert (request.query, request.headers["content-encoding"]) == ({"signature": "a b", "x": "1"}, "gzip")
    assert (request.query_string, request.name) == ("signature=a%20b&x=1&x=2", "mnist")
    assert request.body == b'{"instances": [[1, 2]]}'


def test_respond_for_any_path(gradient_server: GradientServer) -> None:
    """The function gets requests for all paths below the endpoint, also with a line feed."""
    gradient_server.respond("mnist", lambda request: request.path)
    assert fetch(endpoint("mnist") + "/a%0A/b")[:2] == (200, b'"/a\\n/b"')


def test_respond_knows_the_revision(gradient_server: GradientServer) -> None:
    """A request says which revision of which deployment responds. A new one does so when it is ready, in its project only."""
    gradient_server.respond("mnist", lambda request: [request.name, request.project_id, request.image, request.spec_id])
    gradient_server.stay_pending("mnist", image="v2")
    urls = {}
    for project in ("p1", "p2"):
        created = deployments.create_deployment("mnist", project, {"image": "v1"}, wait=True)
        urls[project] = deployments.get_deployment_status(created["id"])["endpointUrl"]
    old = json.loads(fetch(urls["p2"])[1])
    revised = deployments.update_deployment("mnist", "p2", {"image": "v2"})
    new = deployments.get_deployment_status(revised["id"])["specId"]
    gradient_server.advance(minutes=1)
    assert json.loads(fetch(urls["p2"])[1]) == old == ["mnist", "p2", "v1", old[3]]
    assert old[3] not in {new, ""}
    gradient_server.recover("mnist")
    gradient_server.advance(minutes=1)
    assert json.loads(fetch(urls["p2"])[1]) == ["mnist", "p2", "v2", new]
    assert json.loads(fetch(urls["p1"])[1])[:3] == ["mnist", "p1", "v1"]


@pytest.mark.parametrize(
    ("result", "status", "body"),
    [
        (b"raw", 200, b"raw"),
        (None, 200, b"null"),
        ([1, "a"], 200, b'[1, "a"]'),
        (ModelResponse(b"busy", 429, {"Retry-After": "7"}), 429, b"busy"),
        (ModelResponse({"error": 1}, 400), 400, b'{"error": 1}'),
        (ModelResponse(), 200, b""),
        (ModelResponse({"a": 1}, 200, {"content-type": "application/vnd.api+json"}), 200, b'{"a": 1}'),
    ],
)
def test_results_of_respond(gradient_server: GradientServer, result: object, status: int, body: bytes) -> None:
    """Bytes are sent as they are, other values as JSON, and a ModelResponse with its status and headers."""
    gradient_server.respond("mnist", lambda _request: result)
    response = fetch(endpoint("mnist"))
    assert response[:2] == (status, body)
    assert response[2].get("Retry-After") == ("7" if status == 429 else None)


def test_respond_with_an_encoding(gradient_server: GradientServer) -> None:
    """A body that the function has encoded itself is sent as it is, also if it is large."""
    body = gzip.compress(random.Random(1).randbytes(5000))
    gradient_server.respond("mnist", lambda _request: ModelResponse(body, 200, {"Content-Encoding": "gzip"}))
    _, received, headers = fetch(endpoint("mnist"), None, **{"Accept-Encoding": "gzip"})
    assert (headers["Content-Encoding"], received) == ("gzip", body)


def test_respond_for_one_deployment(gradient_server: GradientServer) -> None:
    """Only the endpoint of the deployment changes, only while it is ready, and until `None` is passed."""
    gradient_server.respond("zu\u0308rich", lambda request: request.path)
    other, url = endpoint("other"), endpoint("z\u00fcrich")
    assert fetch(url)[:2] == (200, b'"/"')
    assert json.loads(fetch(other)[1])["simulated"] is True
    gradient_server.fail("z\u00fcrich")
    gradient_server.advance(minutes=1)
    assert fetch(url)[0] == 503
    gradient_server.recover("z\u00fcrich")
    gradient_server.advance(minutes=1)
    gradient_server.respond("z\u00fcrich", None)
    assert json.loads(fetch(url)[1])["simulated"] is True


async def _coroutine_function(_request: ModelRequest) -> None: ...


FAILING: list[Any] = [
    lambda _request: 1 / 0,
    lambda _request: {1, 2},
    lambda _request: next(iter(())),
    lambda _request: pytest.fail("wrong"),
    lambda _request: {"score": float("nan")},
    lambda request: _coroutine_function(request),  # noqa: PLW0108  # not async itself
    lambda _request: ModelResponse(b"", 200, {"X-Name": "a\nb"}),
    lambda _request: ModelResponse(b"", 200, {"X\r\nY": "a"}),
    lambda _request: ModelResponse(b"", 100),
    lambda _request: ModelResponse(b"", 1000),
    lambda _request: ModelResponse(b"abc", 200, {"content-length": "500"}),
    lambda _request: ModelResponse(b"abc", 200, {"Transfer-Encoding": "chunked"}),
]


@pytest.mark.parametrize("failing", FAILING)
def test_a_handler_that_fails(gradient_server: GradientServer, failing: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The status is 500, the body says what was raised, and the log has the traceback. The next request is handled."""
    gradient_server.respond("mnist", failing)
    url = endpoint("mnist")
    status, body, _ = fetch(url)
    assert (status, "the handler of mnist raised" in json.loads(body)["errors"][0]["message"]) == (500, True)
    assert caplog.records[-1].exc_info
    gradient_server.respond("mnist", lambda _request: "fine")
    assert fetch(url)[:2] == (200, b'"fine"')


def test_limits_of_respond(gradient_server: GradientServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that does not return in time, and a body that is too large, end with an error status."""
    monkeypatch.setattr(model_responses, "TIMEOUT", 0.1)
    released = threading.Event()
    gradient_server.respond("mnist", lambda _request: released.wait())
    url = endpoint("mnist")
    status, body, _ = fetch(url)
    assert (status, "did not return within" in body.decode()) == (504, True)
    released.set()
    assert fetch(url, b"x" * (1024 * 1024 + 1))[0] == 413


def test_handlers_run_side_by_side(gradient_server: GradientServer) -> None:
    """Two requests are handled at the same time, and API requests meanwhile."""
    both = threading.Barrier(3, timeout=60)

    def handler(_request: ModelRequest) -> str:
        both.wait()
        return "done"

    gradient_server.respond("mnist", handler)
    url = endpoint("mnist")
    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(fetch, url) for _ in range(2)]
        assert len(deployments.list_deployments()) == 1
        both.wait()
        assert [result.result()[:2] for result in results] == [(200, b'"done"')] * 2


def test_the_log_of_a_test(gradient_server: GradientServer, caplog: pytest.LogCaptureFixture) -> None:
    """At the level INFO, the log of a test has lines of the client and none of the server."""
    with caplog.at_level(logging.INFO):
        gradient_server.drop(executed=True, operation="DeploymentDelete")
        created = deployments.create_deployment("a", "p", SPEC, wait=True)
        fetch(deployments.get_deployment_status(created["id"])["endpointUrl"])
        deployments.delete_deployment(created["id"])
    assert [name for name, _, _ in caplog.record_tuples if name != "paperspace.gradient"] == []  # a retry of the client


class _AsyncObject:
    async def __call__(self, _request: ModelRequest) -> None: ...


@pytest.mark.parametrize(
    "handler", [_coroutine_function, partial(_coroutine_function), _AsyncObject(), {"predictions": []}]
)
def test_wrong_handlers(gradient_server: GradientServer, handler: Any) -> None:
    """A coroutine function, and a value in place of a function, are errors at once."""
    with pytest.raises(TypeError, match="expected a function that is not async, or None"):
        gradient_server.respond("mnist", handler)


def pytest_run(folder: Path, *options: str) -> str:
    """The output of pytest in a folder, with warnings as errors."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *options]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


PATCHING = """
import os
import pytest
from paperspace.gradient import AuthenticationError, deployments
from paperspace.gradient.pytest_plugin import GradientServer

def environment():
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}

BEFORE = environment()

def patch(monkeypatch):
    monkeypatch.setenv("PAPERSPACE_API_KEY", "another")
    monkeypatch.delenv("PAPERSPACE_API_HOST")
    with pytest.raises(AuthenticationError):
        deployments.list_deployments()

def test_first(monkeypatch, gradient_server):
    patch(monkeypatch)

def test_second(gradient_server, monkeypatch):
    patch(monkeypatch)

def test_restored():
    assert environment() == BEFORE

@pytest.fixture
def patched(monkeypatch):
    monkeypatch.setenv("PAPERSPACE_API_KEY", "that of the fixture")
    monkeypatch.setenv("PAPERSPACE_API_HOST", "http://gradient.example.com")
    monkeypatch.delenv("PAPERSPACE_API_URL", raising=False)

def test_patched_before(patched, gradient_server, monkeypatch):
    patch(monkeypatch)

def test_restored_again():
    assert environment() == BEFORE

@pytest.fixture(scope="module")
def wider():
    with GradientServer() as server, server.as_default():
        yield

def test_patched_in_a_wider_block(gradient_server, monkeypatch, request):
    monkeypatch.setenv("PAPERSPACE_API_URL", "http://gradient.example.com")
    request.getfixturevalue("wider")
    monkeypatch.setenv("PAPERSPACE_API_KEY", "another")
    monkeypatch.delenv("PAPERSPACE_API_HOST")

def test_of_the_wider_block(wider):
    assert deployments.list_deployments() == []
"""

RESTORED = """
from test_patching import BEFORE, environment

def test_restored_at_the_end():
    assert environment() == BEFORE
"""


def test_environment_that_a_test_patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test or its fixtures patch in the environment is restored with the rest, in whatever order it requests them."""
    monkeypatch.setenv("PAPERSPACE_API_KEY", "key")
    monkeypatch.setenv("PAPERSPACE_API_URL", "http://127.0.0.1:1/graphql")
    monkeypatch.delenv("PAPERSPACE_API_HOST", raising=False)
    (tmp_path / "test_patching.py").write_text(PATCHING)
    (tmp_path / "test_restored.py").write_text(RESTORED)
    assert "8 passed" in pytest_run(tmp_path)


@pytest.fixture
def documented(tmp_path: Path) -> Path:
    """The files of the documentation."""
    for block in blocks_of(DOCUMENTATION.read_text(encoding="utf-8")):
        if block.file:
            (tmp_path / block.file).write_text(block.text)
    return tmp_path


@pytest.mark.skipif(not importlib.util.find_spec("xdist"), reason="pytest-xdist is not installed")
def test_the_examples_work_side_by_side(documented: Path) -> None:
    """The documented examples pass in several processes at once."""
    assert "15 passed" in pytest_run(documented, "-n", "3")


def test_the_plugin_is_light(tmp_path: Path) -> None:
    """A run of pytest whose tests do not use the fixture loads neither the server nor the heavy libraries."""
    heavy = {"paperspace.gradient.server", "aiohttp", "graphql", "gql", "pydantic", "sqlite3"}
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass\n")
    (tmp_path / "conftest.py").write_text(
        f"import sys\ndef pytest_unconfigure():\n    print('loaded:', sorted({heavy} & set(sys.modules)))\n"
    )
    assert "loaded: []" in pytest_run(tmp_path)
