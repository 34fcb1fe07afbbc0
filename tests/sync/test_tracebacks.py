"""What a user sees when a call fails, or is written wrongly: the own line, the public function, and the error."""

from __future__ import annotations

import inspect
import subprocess
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import pytest
from tests.samples import SPEC

from paperspace.gradient import Client, DeploymentFailedError, GradientError, NotFoundError, deployments
from paperspace.gradient.aio import deployments as aio_deployments

UNKNOWN = "cd973717-ae4e-44aa-9363-f77b9db4de12"
CREATE: dict[str, Any] = {
    "name": "a",
    "project_id": "p",
    "spec": {**SPEC, "env": [{"name": "GRADIENT_SIMULATE", "value": "fail"}]},
}

CALLS: dict[str, Any] = {
    "get_deployment": lambda: deployments.get_deployment(UNKNOWN),
    "list_deployments": lambda: deployments.list_deployments(first=-1),
    "iter_deployments": lambda: list(deployments.iter_deployments(first=-1)),
    "watch_deployment": lambda: list(deployments.watch_deployment(UNKNOWN)),
    "get_deployment_logs": lambda: list(deployments.get_deployment_logs(UNKNOWN)),
    "wait_for_deployment": lambda: deployments.wait_for_deployment(deployments.create_deployment(**CREATE)["id"]),
    "create_deployment": lambda: deployments.create_deployment(**CREATE, wait=True),
}


def frames(error: BaseException | None) -> list[str]:
    """The names of the functions in the traceback of an error, and in those of its causes."""
    names: list[str] = []
    while error is not None:
        names = [frame.name for frame in traceback.extract_tb(error.__traceback__)] + names
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return names


@pytest.mark.usefixtures("gradient_server")
@pytest.mark.parametrize("name", CALLS)
def test_frames_of_a_sync_call(name: str) -> None:
    """The traceback of a sync call has the line of the caller and the public function, and no frame inside of it."""
    with pytest.raises(GradientError) as caught:
        CALLS[name]()
    _, caller, *inside = frames(caught.value)
    assert (caller, inside) == ("<lambda>", [name])


def test_what_is_printed(environment: dict[str, str], tmp_path: Path) -> None:
    """An error that nothing catches is printed in few lines, also that of a refused connection, with its cause."""
    script = tmp_path / "script.py"
    script.write_text(
        f"from paperspace.gradient import deployments\ndeployments.get_deployment('{UNKNOWN}')\n", encoding="utf-8"
    )
    for url, error, frames_shown in (
        (None, "NotFoundError", 2),
        ("http://127.0.0.1:9/graphql", "APIConnectionError", 2),
    ):
        variables = {**environment, **({"PAPERSPACE_API_URL": url} if url else {})}
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, env=variables)
        assert (done.stderr.count("  File "), "in get_deployment\n" in done.stderr) == (frames_shown, True), done.stderr
        assert done.stderr.splitlines()[-1].startswith(f"paperspace.gradient.errors.{error}: ")


@pytest.mark.usefixtures("gradient_server")
def test_other_errors_keep_their_frames() -> None:
    """The error of a callback, and any error that is not of the library, keeps all its frames."""
    created = deployments.create_deployment("a", "p", SPEC)

    def look(_event: object) -> None:
        deployments.get_deployment(UNKNOWN)

    with pytest.raises(NotFoundError) as caught:
        deployments.wait_for_deployment(created["id"], on_event=look)
    assert frames(caught.value)[1:] == ["wait_for_deployment", "look", "get_deployment"]
    with pytest.raises(TypeError) as wrong:
        deployments.get_deployment(UNKNOWN, UNKNOWN)  # type: ignore[call-arg]
    assert frames(wrong.value)[1:] == ["get_deployment"]


@pytest.mark.usefixtures("gradient_server")
def test_an_error_can_be_raised_again() -> None:
    """The second traceback of a failed deployment has the caller too: the error is a new one for each call."""
    created = deployments.create_deployment(**CREATE)
    for _ in range(2):
        with pytest.raises(DeploymentFailedError) as caught:
            deployments.wait_for_deployment(created["id"])
        assert frames(caught.value) == ["test_an_error_can_be_raised_again", "wait_for_deployment"]


FUNCTIONS = [name for name in deployments.__all__ if name not in {"load_spec", "load_specs"}]


@pytest.mark.parametrize("module", [deployments, aio_deployments], ids=["sync", "async"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_wrong_arguments_name_the_function(module: Any, name: str) -> None:
    """The TypeError of a call with a wrong argument names the public function, and no private class."""
    with pytest.raises(TypeError, match=rf"^{name}\(\) got an unexpected keyword argument 'unknown'"):
        getattr(module, name)(unknown=1)


@pytest.mark.parametrize(
    "name", [name for name in FUNCTIONS if inspect.iscoroutinefunction(getattr(aio_deployments, name))]
)
def test_a_forgotten_await_names_the_function(name: str) -> None:
    """The warning about a call without `await` names the public function."""
    function = getattr(aio_deployments, name)
    required = [p.name for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(**dict.fromkeys(required, ""))
    assert [str(warning.message) for warning in caught] == [f"coroutine '{name}' was never awaited"]


def test_functions_of_a_client(client: Client) -> None:
    """The functions of a client have the same names."""
    with pytest.raises(NotFoundError) as caught:
        client.deployments.get_deployment(UNKNOWN)
    assert frames(caught.value)[1:] == ["get_deployment"]
    with pytest.raises(GradientError) as invalid:
        client.execute("nonsense")
    assert frames(invalid.value)[1:] == ["execute"]
