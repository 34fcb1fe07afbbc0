"""`wait` and `logs` for several deployments, and for a project."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from tests.cli.conftest import Run, run_on_terminal
from tests.samples import SPEC

from paperspace.gradient import Client
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli.deployments._together import Ended, labels_of, together
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
        failure = type(client.deployments)._failure

        def delete_first(self: Any, status: Any) -> Any:
            if status["state"] == "ready" and client.deployments.list_deployments("gone"):
                client.deployments.delete_deployment(ids["gone"])
            return failure(self, status)

        monkeypatch.setattr(type(client.deployments), "_failure", delete_first)
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
        """Ctrl-C ends the command, although threads wait."""
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
        read = type(client.deployments).get_deployment_logs

        def fail_for_b(self: Any, id: str, **options: Any) -> Any:
            if id == ids["b"]:
                client.deployments.delete_deployment(id)
            return read(self, id, **options)

        monkeypatch.setattr(type(client.deployments), "get_deployment_logs", fail_for_b)
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


def test_together_bounds_what_waits() -> None:
    """A stream that is faster than its reader waits for it: everything arrives, in its order, and each stream ends."""
    received = list(together({"a": lambda: range(5000), "b": lambda: range(3)}))
    assert [item for key, item in received if key == "a"] == [*range(5000), Ended(None)]
    assert [item for key, item in received if key == "b"] == [0, 1, 2, Ended(None)]


def test_together_hands_on_errors() -> None:
    """The error of a stream is its end."""

    def failing() -> Any:
        yield 1
        raise ValueError("broken")

    received = list(together({"a": failing}))
    assert received[0] == ("a", 1)
    [(_, end)] = received[1:]
    assert isinstance(end, Ended)
    assert str(end.error) == "broken"
