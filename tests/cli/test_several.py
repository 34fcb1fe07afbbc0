"""`wait` and `logs` for several deployments, and for a project."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml
from tests.cli.conftest import Run, run_on_terminal
from tests.samples import SPEC

from paperspace.gradient import Client
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli.deployments import _several, monitoring
from paperspace.gradient.cli.deployments._together import Ended, labels_of, together
from paperspace.gradient.deployments._api import AsyncDeployments
from paperspace.gradient.server import LocalServer

pytestmark = pytest.mark.usefixtures("environment")


def simulated(scenario: str) -> Any:
    return {**SPEC, "env": [{"name": "GRADIENT_SIMULATE", "value": scenario}]}


def create(client: Client, **scenarios: str) -> dict[str, str]:
    """Create deployments in the project p, and return their ids by name."""
    specs = {name: simulated(scenario) for name, scenario in scenarios.items()}
    return {name: client.deployments.create_deployment(name, "p", spec)["id"] for name, spec in specs.items()}


class TestWait:
    """`wait` ends when all have ended."""

    def test_all_are_ready(self, run: Run, client: Client) -> None:
        """Each event has the name of its deployment in front; each deployment has a line at the end."""
        ids = create(client, a="healthy", long="healthy")
        waited = run("deployments", "wait", "a", ids["long"])
        assert waited.exit_code == 0
        assert waited.stdout == f"Ready deployment: {ids['a']} (a)\nReady deployment: {ids['long']} (long)\n"
        lines = waited.stderr.splitlines()
        assert {line[:6] for line in lines} == {"a    |", "long |"}
        assert {"a    | all replicas ready", "long | all replicas ready"} <= set(lines)

    def test_one_twice(self, run: Run) -> None:
        """A deployment that is passed by its name and by its id, in capitals and in small letters, is waited for once."""
        with LocalServer() as server, Client(server.api_key, server.url) as client:
            id_ = create(client, a="healthy")["a"]
            options = ["--id", id_.upper(), "--api-url", server.url, "--api-key", server.api_key]
            waited = run("deployments", "wait", "a", id_.upper(), id_, *options)
        assert (waited.exit_code, waited.stdout) == (0, f"Ready deployment: {id_} (a)\n")
        assert {line[:3] for line in waited.stderr.splitlines()} == {"a |"}

    def test_failures(self, run: Run, client: Client) -> None:
        """The others are waited for after a failure. The exit code is that of the first failure, and each end is printed."""
        ids = create(client, broken="fail", fine="healthy", slow="pending")
        waited = run("deployments", "wait", "slow", "fine", "broken", "--timeout", "15")
        assert waited.exit_code == ExitCode.DEPLOYMENT_FAILED
        assert waited.stdout.splitlines() == [
            f"Pending deployment: {ids['slow']} (slow)",
            f"Ready deployment: {ids['fine']} (fine)",
            f"Failed deployment: {ids['broken']} (broken)",
        ]
        assert f"broken:\nError: deployment broken ({ids['broken']}) failed: Simulated: cannot pull" in waited.stderr
        assert "slow:\nError: deployment slow is not ready after 15 s: 0 of 1 replicas ready" in waited.stderr
        assert waited.stderr.count("Simulated: cannot pull the image") == 1

    def test_project(self, run: Run, client: Client) -> None:
        """A project stands for all its deployments. If it has none, its id may be misspelled: nothing was found."""
        ids = create(client, a="healthy", b="healthy")
        client.deployments.create_deployment("other", "q", simulated("pending"))
        waited = run("deployments", "wait", "--project-id", "p")
        assert sorted(waited.stdout.splitlines()) == sorted(f"Ready deployment: {ids[name]} ({name})" for name in "ab")
        nothing = run("deployments", "wait", "--project-id", "empty")
        assert (nothing.exit_code, nothing.stdout) == (ExitCode.NOT_FOUND, "")
        assert nothing.stderr == "Error: There are no deployments in project empty.\n"

    @pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
    def test_for_scripts(self, run: Run, client: Client, output: str, read: Any) -> None:
        """-o json and -o yaml print the list of the last statuses, in the order of the arguments."""
        ids = create(client, broken="fail", fine="healthy")
        waited = run("deployments", "wait", "fine", "broken", "-o", output)
        assert waited.exit_code == ExitCode.DEPLOYMENT_FAILED
        statuses = [client.deployments.get_deployment_status(ids[name]) for name in ("fine", "broken")]
        assert read(waited.stdout) == statuses

    def test_deleted_meanwhile(self, run: Run, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that is deleted is not found; the state of the others is printed."""
        ids = create(client, gone="pending", fine="healthy")
        failure = AsyncDeployments._failure

        async def delete_first(self: AsyncDeployments, status: Any) -> Any:
            if status["state"] == "ready" and await self.list_deployments("gone"):
                await self.delete_deployment(ids["gone"])
            return await failure(self, status)

        monkeypatch.setattr(AsyncDeployments, "_failure", delete_first)
        waited = run("deployments", "wait", "gone", "fine")
        assert waited.exit_code == ExitCode.NOT_FOUND
        assert waited.stdout.splitlines() == [
            f"Unknown deployment: {ids['gone']} (gone)",
            f"Ready deployment: {ids['fine']} (fine)",
        ]

    def test_names_that_cannot_be_found(self, run: Run, client: Client) -> None:
        """A name that none or several have is an error before anything is waited for."""
        create(client, a="pending")
        client.deployments.create_deployment("a", "q", SPEC)
        assert run("deployments", "wait", "a", "b").exit_code == ExitCode.USAGE
        missing = run("deployments", "wait", "--project-id", "p", "a", "b")
        assert (missing.exit_code, missing.stdout) == (ExitCode.NOT_FOUND, "")
        nothing = run("deployments", "wait")
        assert nothing.exit_code == ExitCode.USAGE
        assert "Or pass --project-id, for all deployments of a project." in nothing.stderr

    def test_ctrl_c(self, client: Client) -> None:
        """Ctrl-C ends the command, although both are waited for."""
        create(client, a="pending", b="pending")
        shown = run_on_terminal("deployments", "wait", "a", "b", interrupt="waiting for a machine")
        assert shown.code == ExitCode.INTERRUPTED
        assert "Traceback" not in shown.text

    def test_colors(self, client: Client) -> None:
        """On a terminal, each name has a color of its own, unless NO_COLOR is set."""
        for id_ in create(client, a="healthy", b="healthy").values():
            client.deployments.wait_for_deployment(id_)
        shown = run_on_terminal("deployments", "wait", "a", "b")
        assert shown.code == 0
        assert len(set(re.findall(r"(\x1b\[\d+m)[ab] \|", shown.text))) == 2
        plain = run_on_terminal("deployments", "wait", "a", "b", NO_COLOR="1")
        assert plain.code == 0
        assert "\x1b[" not in plain.text


class TestLogs:
    """`logs` of several have the names in front."""

    def test_sorted_by_time(self, run: Run, client: Client) -> None:
        """Lines that exist are sorted by time over all deployments. -o json names the deployment."""
        ids = create(client, a="healthy", b="healthy")
        assert run("deployments", "wait", "--project-id", "p").exit_code == 0
        printed = run("deployments", "logs", "a", "b")
        lines = [line.split(" | ") for line in printed.stdout.splitlines()]
        assert {label for label, _ in lines} == {"a", "b"}
        assert [text for _, text in lines] == sorted(text for _, text in lines)
        objects = [
            json.loads(line)
            for line in run("deployments", "logs", "--project-id", "p", "-o", "json").stdout.splitlines()
        ]
        assert len(objects) == len(lines)
        for name, id_ in ids.items():
            own = [entry for entry in objects if entry["deploymentId"] == id_]
            assert {entry.pop("deploymentName") for entry in own} == {name}
            stripped = [{key: value for key, value in entry.items() if key != "deploymentId"} for entry in own]
            assert stripped == list(client.deployments.get_deployment_logs(id_))
        assert len(run("deployments", "logs", "a", "b", "--tail", "1").stdout.splitlines()) == 2

    @pytest.mark.parametrize("follow", [[], ["--follow"]])
    def test_one_that_cannot_be_read(
        self, run: Run, client: Client, monkeypatch: pytest.MonkeyPatch, follow: list[str]
    ) -> None:
        """The error of one is reported, and the lines of the others are printed."""
        ids = create(client, a="healthy", b="healthy")
        client.deployments.wait_for_deployment(ids["a"])
        for id_ in ids.values():
            client.deployments.stop_deployment(id_)
        print_logs = _several.print_logs_of_several

        def delete_first(*args: Any) -> int:
            client.deployments.delete_deployment(ids["b"])  # after its name was looked up
            return print_logs(*args)

        monkeypatch.setattr(monitoring, "print_logs_of_several", delete_first)
        printed = run("deployments", "logs", "b", "a", *follow)
        assert printed.exit_code == ExitCode.NOT_FOUND
        assert {line.split(" | ")[0] for line in printed.stdout.splitlines()} == {"a"}
        assert "b:\nError: " in printed.stderr

    def test_follow(self, run: Run, client: Client) -> None:
        """--follow prints the lines of all as they are written, and ends when all are stopped."""
        ids = create(client, a="healthy", b="healthy")
        client.deployments.wait_for_deployment(ids["a"])
        for id_ in ids.values():
            client.deployments.stop_deployment(id_)
        printed = run("deployments", "logs", "a", "b", "--follow")
        assert printed.exit_code == 0
        for name, id_ in ids.items():
            lines = [line for line in printed.stdout.splitlines() if line.startswith(f"{name} | ")]
            assert len(lines) == len(list(client.deployments.get_deployment_logs(id_)))

    def test_instance(self, run: Run) -> None:
        """An instance belongs to one deployment."""
        printed = run("deployments", "logs", "a", "b", "--instance", "x")
        assert printed.exit_code == ExitCode.USAGE
        assert "--instance works with one deployment only." in printed.stderr


def test_labels() -> None:
    """Labels are names of the same width, or ids where names are equal; colors repeat only after all were used."""
    labels = labels_of({"1": "a", "2": "b", "3": "a"})
    assert [label.text for label in labels.values()] == ["1", "b", "3"]
    many = labels_of({str(number): f"n{number}" for number in range(8)})
    assert len({label.color for label in many.values()}) == 6
    assert labels_of({}) == {}


class TestTogether:
    """What several deployments yield is read at the same time."""

    def test_bound(self, client: Client) -> None:
        """A stream that is faster than its reader waits for it: everything arrives, in its order, and each stream ends."""
        yielded = 0

        async def count(_: AsyncDeployments, id: str) -> AsyncIterator[int]:
            nonlocal yielded
            for number in range(5000 if id == "a" else 3):
                yielded += 1
                yield number

        received = together(client.deployments, ["a", "b"], count)
        first = next(received)
        assert yielded < 2000
        everything = [first, *received]
        assert [item for id_, item in everything if id_ == "a"] == [*range(5000), Ended(None)]
        assert [item for id_, item in everything if id_ == "b"] == [0, 1, 2, Ended(None)]

    def test_error(self, client: Client) -> None:
        """The error of a stream is its end."""

        async def failing(_: AsyncDeployments, id: str) -> AsyncIterator[int]:
            yield 1
            raise ValueError(f"{id} is broken")

        received = list(together(client.deployments, ["a"], failing))
        assert received[0] == ("a", 1)
        [(_, end)] = received[1:]
        assert isinstance(end, Ended)
        assert str(end.error) == "a is broken"

    def test_threads(self, client: Client) -> None:
        """A thousand deployments take no thread each."""

        async def threads(_: AsyncDeployments, __: str) -> AsyncIterator[int]:
            await asyncio.sleep(0)
            yield threading.active_count()

        client.deployments.list_deployments()  # starts the loop thread
        before = threading.active_count()
        received = together(client.deployments, map(str, range(1000)), threads)
        assert {item for _, item in received if isinstance(item, int)} == {before}

    def test_dropped(self, client: Client) -> None:
        """Streams end if their reader does, as with Ctrl-C."""
        ended = threading.Event()

        async def endless(_: AsyncDeployments, __: str) -> AsyncIterator[int]:
            try:
                while True:
                    yield 1
            finally:
                ended.set()

        received = together(client.deployments, ["a"], endless)
        next(received)
        received.close()
        assert ended.wait(60)
