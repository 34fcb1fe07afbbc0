"""`get --spec` and `update`: read a spec, change it, write it back."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.altering_proxy import altered
from tests.cli.conftest import GRADIENT, Run
from tests.deployments.test_changes import FULL, NOTHING
from tests.samples import SPEC, spec

from paperspace.gradient import Client
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.server import LocalServer

pytestmark = pytest.mark.usefixtures("environment")

UNKNOWN_ID = "00000000-0000-0000-0000-0000000000ff"


@pytest.fixture(name="id")
def _id(client: Client) -> str:
    """Create a deployment named n with every field of a spec, and return its id."""
    return client.deployments.create_deployment("n", "p", FULL, "cl-1")["id"]


def newest_change(client: Client, id: str) -> list[str]:
    """The lines of the newest difference in the history."""
    return client.deployments.get_deployment_history(id)[0]["difference"]["text"].splitlines()


class TestGetSpec:
    """`get --spec` prints a spec file."""

    @pytest.mark.parametrize("named", [False, True])
    def test_whole(self, run: Run, id: str, named: bool) -> None:
        """It has every field of the newest spec, of a deployment given by name or id."""
        shown = run("deployments", "get", "n" if named else id, "--spec")
        assert (shown.exit_code, shown.stderr) == (0, "")
        assert yaml.safe_load(shown.stdout) == FULL

    @pytest.mark.parametrize("command", ["create", "update", "apply", "diff", "validate"])
    @pytest.mark.usefixtures("id")
    def test_taken_back(self, run: Run, client: Client, command: str) -> None:
        """Every command that takes a spec file takes it back unchanged."""
        printed = run("deployments", "get", "n", "--spec").stdout
        words = {
            "create": ["--name", "copy", "--project-id", "p", "--spec", "-"],
            "update": ["n", "--spec", "-"],
            "validate": ["-"],
        }
        named = ["--name", "n", "--project-id", "p", "--spec", "-"]
        taken = run("deployments", command, *words.get(command, named), stdin=printed)
        assert (taken.exit_code, taken.stderr) == (0, "")
        for deployment in client.deployments.list_deployments():
            assert client.deployments.diff_deployment(deployment["name"], "p", FULL) == NOTHING
            assert client.deployments.get_deployment_spec(deployment["id"]) == FULL
        assert taken.stdout.startswith("Unchanged deployment: ") is (command == "apply")

    def test_pipe(self, client: Client, id: str) -> None:
        """Two processes joined by a pipe change only what the options say."""
        with subprocess.Popen([*GRADIENT, "deployments", "get", "n", "--spec"], stdout=subprocess.PIPE) as get:
            words = ["deployments", "update", "n", "--spec", "-", "--env", "MODE=fast", "--replicas", "3"]
            update = subprocess.run([*GRADIENT, *words], stdin=get.stdout, capture_output=True, text=True, check=False)
        assert (update.stdout, update.stderr, update.returncode) == (f"Updated deployment: {id}\n", "", 0)
        read: dict[str, Any] = {**client.deployments.get_deployment_spec(id)}
        assert read.pop("env") == [*(FULL["env"] or []), {"name": "MODE", "value": "fast"}]
        assert read.pop("resources")["replicas"] == 3
        assert read == {key: value for key, value in FULL.items() if key not in {"env", "resources"}}


class TestName:
    """Commands take a name in place of an id."""

    @pytest.mark.parametrize(
        "words",
        [
            ["get"],
            ["get", "--spec"],
            ["update", "--image", "nginx"],
            ["scale", "--replicas", "1"],
            ["stop"],
            ["start"],
            ["restart"],
            ["rollback", "--previous"],
            ["history"],
            ["wait"],
            ["logs"],
        ],
        ids=" ".join,
    )
    def test_ambiguous(self, run: Run, client: Client, id: str, words: list[str]) -> None:
        """A name in two projects is a usage error that lists both; with the project, it is found."""
        client.deployments.scale_deployment(id, 3)
        other = client.deployments.create_deployment("n", "q", SPEC)["id"]
        refused = run("deployments", words[0], "n", *words[1:])
        assert (refused.exit_code, refused.stdout) == (ExitCode.USAGE, "")
        assert "Error: 2 deployments are named n. Pass --project-id, or one of these ids:\n" in refused.stderr
        for candidate in (id, other):
            assert f"\n  {candidate}  tensorflow/serving\n" in refused.stderr
        assert run("deployments", words[0], "n", "--project-id", "p", *words[1:]).exit_code == 0

    @pytest.mark.parametrize(
        "words",
        [
            ["delete"],
            ["events"],
            ["get"],
            ["history"],
            ["logs"],
            ["open"],
            ["restart"],
            ["rollback", "--previous"],
            ["scale", "--replicas", "3"],
            ["start"],
            ["status"],
            ["stop"],
            ["top"],
            ["wait"],
        ],
        ids=" ".join,
    )
    def test_project_of_an_id(self, run: Run, id: str, words: list[str]) -> None:
        """A project with an id is a usage error, and nothing is changed: it was ignored, also if it was another project."""
        before = run("deployments", "history", id).stdout
        for target in ([id], ["--id", id]):
            refused = run("deployments", words[0], *target, "--project-id", "q", *words[1:])
            assert (refused.exit_code, refused.stdout) == (ExitCode.USAGE, "")
            assert "Error: Pass --project-id only with a name." in refused.stderr
        assert run("deployments", "history", id).stdout == before

    def test_unknown(self, run: Run, client: Client, id: str) -> None:
        """A name that no deployment has exactly is not found, in any project or in the one given."""
        for words in (["N"], ["n", "--project-id", "q"]):
            shown = run("deployments", "get", *words)
            assert (shown.exit_code, shown.stdout) == (ExitCode.NOT_FOUND, "Deployment not found\n")
            assert shown.stderr.startswith("Error: no deployment is named ")
        assert run("deployments", "get", "n").exit_code == 0
        client.deployments.delete_deployment(id)
        assert run("deployments", "get", "n").exit_code == ExitCode.NOT_FOUND

    @pytest.mark.parametrize("words", [["get", ""], ["update", "", "--image", "nginx"], ["restart", ""]])
    @pytest.mark.usefixtures("id")
    def test_empty(self, run: Run, words: list[str]) -> None:
        """An empty argument, from a shell variable that is not set, is a usage error."""
        assert run("deployments", *words).exit_code == ExitCode.USAGE


class TestUpdate:
    """`update` without `--spec` changes single fields of the newest spec."""

    @pytest.mark.parametrize(
        "which", [["n"], ["n", "--project-id", "p"], ["ID"], ["--id", "ID"], ["--name", "n", "--project-id", "p"]]
    )
    def test_fields(self, run: Run, client: Client, id: str, which: list[str]) -> None:
        """Every option changes its field and nothing else, however the deployment is given."""
        which = [id if word == "ID" else word for word in which]
        options = ["--image", "nginx", "--env", "C=a=b", "--env", "A=", "--unset-env", "B", "--unset-env", "X"]
        options += ["--replicas", "3", "--instance-type", "C4", "--command", "sh -c 'run all'"]
        shown = run("deployments", "update", *which, *options)
        assert (shown.output, shown.exit_code) == (f"Updated deployment: {id}\n", 0)
        assert client.deployments.get_deployment_spec(id) == {
            **FULL,
            "image": "nginx",
            "env": [{"name": "A", "value": ""}, {"name": "C", "value": "a=b"}],
            "command": ["sh", "-c", "run all"],
            "resources": {**(FULL["resources"] or {}), "replicas": 3, "instanceType": "C4"},
        }

    def test_empty_command(self, run: Run, client: Client, id: str) -> None:
        """An empty command removes it."""
        run("deployments", "update", "n", "--command", "")
        assert newest_change(client, id) == ["- command: ['serve', '--fast']"]

    def test_other_fields(self, run: Run, client: Client, id: str) -> None:
        """A new name, project or cluster can be set by the same command; --project-id of a name finds it."""
        run("deployments", "update", id, "--image", "nginx", "--name", "m", "--project-id", "q", "--cluster-id", "cl-2")
        assert newest_change(client, id) == ["~ cluster: 'cl-1' -> 'cl-2'", "~ image: 'tensorflow/serving' -> 'nginx'"]
        assert [node["id"] for node in client.deployments.list_deployments("m", "q")] == [id]
        run("deployments", "update", "m", "--project-id", "q", "--image", "nginx", "--name", "o")
        assert [node["id"] for node in client.deployments.list_deployments("o", "q")] == [id]
        assert len(client.deployments.get_deployment_history(id)) == 2

    def test_options_over_a_spec(self, run: Run, client: Client, id: str) -> None:
        """With `--spec`, the options change the given spec."""
        options = ["--env", "A=1", "--replicas", "2", "--unset-env", "X", "--command", "serve"]
        run("deployments", "update", "n", "--spec", "-", *options, stdin=yaml.safe_dump(dict(spec())))
        assert client.deployments.get_deployment_spec(id) == {
            **spec(replicas=2),
            "command": ["serve"],
            "env": [{"name": "A", "value": "1"}],
        }

    def test_env_file(self, run: Run, client: Client, id: str, tmp_path: Path) -> None:
        """Without `--spec`, the variables of --env-file are set in the newest spec; --env takes precedence."""
        (tmp_path / "variables").write_text("A=file\nC=file\n", encoding="utf-8")
        options = ["--env-file", str(tmp_path / "variables"), "--env", "C=option"]
        assert run("deployments", "update", "n", *options).exit_code == 0
        assert client.deployments.get_deployment_spec(id)["env"] == [
            {"name": "A", "value": "file"},
            {"name": "B", "value": "2"},
            {"name": "C", "value": "option"},
        ]

    def test_no_difference(self, run: Run, client: Client, id: str) -> None:
        """The current values add no revision."""
        assert run("deployments", "update", "n", "--env", "A=1", "--replicas", "2").exit_code == 0
        assert len(client.deployments.get_deployment_history(id)) == 1

    def test_wait(self, run: Run, client: Client, id: str) -> None:
        """--wait waits for the new revision."""
        assert run("deployments", "update", "n", "--image", "nginx", "--wait").exit_code == 0
        assert client.deployments.get_deployment_status(id)["state"] == "ready"

    def test_wait_for_another_cluster(self, run: Run, client: Client, id: str) -> None:
        """--wait waits for the revision of another cluster, if the options for the spec change nothing."""
        updated = run("deployments", "update", "n", "--env", "A=1", "--cluster-id", "cl-2", "--wait")
        assert (updated.exit_code, updated.stdout) == (0, f"Updated deployment: {id}\n")
        assert newest_change(client, id) == ["~ cluster: 'cl-1' -> 'cl-2'"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--env", "hunter2"], "Invalid value for '--env': expected NAME=VALUE."),
            (["--env", "=hunter2"], "Invalid value for '--env': expected NAME=VALUE."),
            (
                ["--env", "A=hunter2", "--unset-env", "A"],
                "unset_env: expected a name that `env` does not set, got 'A'",
            ),
            (["--command", "'hunter2"], "Invalid value for '--command': no closing quotation."),
            (["--env-subst"], "--env-subst works only with --spec."),
            (["--image", ""], "image: expected a container image"),
            (["--replicas", "-1"], "Invalid value for '--replicas'"),
        ],
    )
    def test_invalid(self, run: Run, client: Client, id: str, options: list[str], message: str) -> None:
        """An invalid option is a usage error that does not show values; nothing changes."""
        refused = run("deployments", "update", "n", *options)
        assert refused.exit_code == ExitCode.USAGE
        assert message in refused.stderr
        assert "hunter2" not in refused.output
        assert len(client.deployments.get_deployment_history(id)) == 1


def test_restart(run: Run, client: Client, id: str) -> None:
    """`restart` adds a revision without a difference, and prints one line."""
    shown = run("deployments", "restart", "n", "--wait")
    assert (shown.stdout, shown.exit_code) == (f"Restarted deployment: {id}\n", 0)
    assert newest_change(client, id) == []
    assert client.deployments.get_deployment_status(id)["state"] == "ready"


@pytest.mark.parametrize(
    "words",
    [
        ["update", "--spec", "-"],
        ["update", "--env", "A=2"],
        ["restart"],
        ["rollback", "--previous"],
        ["apply", "--spec", "-"],
    ],
    ids=" ".join,
)
def test_waits_for_its_own_revision(server: LocalServer, run: Run, client: Client, id: str, words: list[str]) -> None:
    """If another client replaces the revision of a command, --wait ends with an error that names both."""
    client.deployments.scale_deployment(id, 3)

    def interfere(request: Any) -> None:
        if request["operationName"] == "DeploymentStatus":
            client.deployments.update_deployment(id=id, spec={**SPEC, "port": 7})

    command, *options = words
    named = ["--name", "n", "--project-id", "p"] if command == "apply" else ["n"]
    with altered(server, request=interfere) as url:
        address = ["--api-url", url]
        waited = run(*address, "deployments", command, *named, *options, "--wait", stdin="image: x\nport: 9\n")
    assert waited.exit_code == ExitCode.FAILED
    other, own, *_ = [revision["id"] for revision in client.deployments.get_deployment_history(id)]
    assert f"spec {own} of deployment n ({id}) is not the newest: another change added spec {other}" in waited.stderr


@pytest.mark.parametrize(
    "words", [["scale", "--replicas", "3"], ["start"], ["rollback", "--previous"]], ids=lambda words: words[0]
)
def test_wait_for_a_change(run: Run, client: Client, id: str, words: list[str]) -> None:
    """With --wait, the command ends when the new revision is ready."""
    client.deployments.stop_deployment(id)
    command, *options = words
    assert run("deployments", command, "n", *options, "--wait").exit_code == 0
    status = client.deployments.get_deployment_status(id)
    assert status["state"] == ("stopped" if command == "scale" else "ready")


def test_rollback_to_the_previous(run: Run, client: Client, id: str) -> None:
    """`rollback --previous` undoes the last change; either it or --to is required."""
    client.deployments.scale_deployment(id, 3)
    assert run("deployments", "rollback", "n", "--previous").stdout == f"Rolled back deployment: {id}\n"
    assert newest_change(client, id) == ["~ resources.replicas: 3 -> 2"]
    for words in ([], ["--previous", "--to", UNKNOWN_ID]):
        refused = run("deployments", "rollback", "n", *words)
        assert refused.exit_code == ExitCode.USAGE
        assert "Pass either --to or --previous." in refused.stderr
