"""Commands that the retired client did not have: their output and exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.cli.conftest import run_on_terminal
from tests.deployments.test_changes import FULL
from tests.samples import SPEC, spec

from paperspace.gradient import DeploymentFailedError, GradientError, WaitTimeoutError, deployments
from paperspace.gradient.cli._exit_codes import ExitCode

if TYPE_CHECKING:
    from tests.cli.conftest import Run

    from paperspace.gradient.types import EnvVariableInput

UNKNOWN_ID = "00000000-0000-0000-0000-0000000000ff"

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Write a spec file."""
    path = tmp_path / "paperspace.yaml"
    path.write_text(yaml.safe_dump(dict(SPEC)), encoding="utf-8")
    return str(path)


@pytest.fixture(name="id")
def _id() -> str:
    """Create a deployment named n in project p, and return its id."""
    return deployments.create_deployment("n", "p", SPEC)["id"]


def test_apply(run: Run, file: str) -> None:
    """`apply` creates, then changes nothing, then updates; the changes are printed to stderr."""
    arguments = ["deployments", "apply", "--name", "n", "--projectId", "p", "--spec", file]
    planned = run(*arguments, "--dry-run")
    assert (planned.exit_code, planned.stdout) == (0, "Dry run: would create deployment: n\n")
    created = run(*arguments)
    [deployment] = deployments.list_deployments()
    assert created.stdout == f"Created deployment: {deployment['id']}\n"
    assert run(*arguments).stdout == f"Unchanged deployment: {deployment['id']}\n"
    deployments.scale_deployment(deployment["id"], 2)
    updated = run(*arguments)
    assert (updated.stdout, updated.stderr) == (
        f"Updated deployment: {deployment['id']}\n",
        "~ resources.replicas: 2 -> 1\n",
    )
    assert json.loads(run(*arguments, "-o", "json").stdout)["action"] == "unchanged"


def test_failed_and_unchanged(run: Run, tmp_path: Path) -> None:
    """A command that leaves a failed deployment as it is says that it has failed, and how to try again."""
    failing: Any = {**SPEC, "env": [{"name": "GRADIENT_SIMULATE", "value": "fail"}]}
    path = tmp_path / "failing.json"
    path.write_text(json.dumps(failing), encoding="utf-8")
    apply = ["apply", "--name", "n", "--project-id", "p", "--spec", str(path)]
    id_ = deployments.create_deployment("n", "p", failing)["id"]
    assert [*deployments.watch_deployment(id_)][-1]["type"] == "failed"
    for words in (apply, ["start", id_], ["scale", id_, "--replicas", "1"], ["update", id_, "--replicas", "1"]):
        shown = run("deployments", *words)
        assert shown.exit_code == 0
        assert "Deployment n failed: " in shown.stderr
        assert f"gradient deployments restart {id_}\n" in shown.stderr
    assert len(deployments.get_deployment_history(id_)) == 1
    assert run("deployments", *apply, "--dry-run").stderr == ""


def test_apply_id(run: Run, file: str) -> None:
    """-o id prints the id, and nothing if a dry run would create the deployment."""
    arguments = ["deployments", "apply", "--name", "n", "--projectId", "p", "--spec", file, "-o", "id"]
    assert run(*arguments, "--dry-run").stdout == ""
    [created_id] = run(*arguments).stdout.split()
    assert run(*arguments, "--dry-run").stdout == f"{created_id}\n"


def test_diff(run: Run, file: str, id: str) -> None:
    """`diff` prints the changes to stdout; only --exit-code makes them an exit code."""
    arguments = ["deployments", "diff", "--name", "n", "--project-id", "p", "--spec", file, "--exit-code"]
    assert (run(*arguments).exit_code, run(*arguments).stdout) == (0, "")
    deployments.scale_deployment(id, 2)
    differs = run(*arguments)
    assert (differs.exit_code, differs.stdout) == (8, "~ resources.replicas: 2 -> 1\n")
    assert run(*arguments[:-1]).exit_code == 0


def test_scale_stop_start(run: Run, id: str) -> None:
    """`scale`, `stop` and `start` take the id as an argument or an option, and print one line."""
    assert run("deployments", "scale", id, "--replicas", "3").stdout == f"Scaled deployment: {id}\n"
    assert run("deployments", "stop", "--id", id).stdout == f"Stopped deployment: {id}\n"
    assert run("deployments", "start", id).stdout == f"Started deployment: {id}\n"
    assert [revision["difference"]["text"] for revision in deployments.get_deployment_history(id)[:3]] == [
        "~ enabled: False -> True",
        "~ enabled: True -> False",
        "~ resources.replicas: 1 -> 3",
    ]


@pytest.mark.parametrize(
    "words",
    [["scale", "--replicas", "3"], ["stop"], ["start"], ["restart"], ["rollback", "--previous"]],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_changes_for_scripts(run: Run, id: str, words: list[str], output: str, read: Any) -> None:
    """-o json and -o yaml print what the function returns, before a wait too; -o id prints the id."""
    deployments.scale_deployment(id, 2)
    shown = run("deployments", *words, id, "--wait", "-o", output)
    assert read(shown.stdout) == {"id": id, "specId": deployments.get_deployment_status(id)["specId"]}
    assert shown.exit_code == 0
    assert run("deployments", *words, id, "-o", "id").output == f"{id}\n"


def test_history_and_rollback(run: Run, id: str) -> None:
    """`history` lists each revision with its changes, and `rollback` restores one of them."""
    deployments.scale_deployment(id, 3)
    newest, first = deployments.get_deployment_history(id)
    shown = run("deployments", "history", id).stdout.splitlines()
    assert shown[0].startswith(f"{newest['id']}  {newest['dtCreated']}  First Last")
    assert shown[1] == "    ~ resources.replicas: 1 -> 3"
    assert run("deployments", "history", id, "-o", "id").stdout.split() == [newest["id"], first["id"]]
    assert run("deployments", "history", id, "--limit", "1").stdout.splitlines() == shown[:2]
    assert run("deployments", "rollback", id, "--to", first["id"]).stdout == f"Rolled back deployment: {id}\n"
    assert deployments.diff_deployment("n", "p", SPEC)["changes"] == []


def test_no_password_is_printed(run: Run, tmp_path: Path) -> None:
    """No command but `get` prints a password, in any format; the library returns them, and a rollback keeps them."""
    path = tmp_path / "full.yaml"
    path.write_text(yaml.safe_dump(dict(FULL)), encoding="utf-8")
    named = ["--name", "n", "--project-id", "p", "--spec", str(path)]
    shown = [run("deployments", "apply", *named, "-o", "json")]
    deployment_id = json.loads(shown[0].stdout)["id"]
    deployments.update_deployment(id=deployment_id, spec=SPEC)
    for output in ([], ["-o", "json"], ["-o", "yaml"]):
        shown += [run("deployments", name, deployment_id, *output) for name in ("history", "wait")]
        shown += [run("deployments", "list", *output)]
        shown += [
            run("deployments", name, *named, *output, *options)
            for name, options in (("diff", []), ("apply", ["--dry-run"]))
        ]
    assert {result.exit_code for result in shown} == {0}
    assert "hunter2" not in "".join(result.output for result in shown)
    assert "(hidden)" in run("deployments", "history", deployment_id, "-o", "json").stdout
    _, first = deployments.get_deployment_history(deployment_id)
    run("deployments", "rollback", deployment_id, "--to", first["id"])
    assert "hunter2" in str(deployments.get_deployment_history(deployment_id)[0]["data"])


def test_not_found(run: Run, id: str) -> None:
    """The exit code is 3 for a missing deployment, revision or instance."""
    missing = run("deployments", "rollback", UNKNOWN_ID, "--to", UNKNOWN_ID)
    assert (missing.exit_code, missing.stdout) == (3, "")
    assert missing.stderr.startswith(f"Error: no deployment has the id {UNKNOWN_ID}")
    for words in (["rollback", id, "--to", UNKNOWN_ID], ["logs", id, "--instance", "nope"]):
        refused = run("deployments", *words)
        assert (refused.exit_code, refused.stdout) == (3, "")
        assert refused.stderr.startswith(f"Error: deployment {id} has no ")


def test_wait_and_logs(run: Run, id: str) -> None:
    """`wait` prints the state to stdout and events to stderr; `logs` prints lines, as JSON on demand."""
    waited = run("deployments", "wait", id)
    assert (waited.exit_code, waited.stdout) == (0, f"Ready deployment: {id}\n")
    assert "all replicas ready" in waited.stderr
    lines = run("deployments", "logs", id, "--tail", "1").stdout
    assert lines.endswith("[simulated] ready\n")
    assert (
        json.loads(run("deployments", "logs", id, "--tail", "1", "-o", "json").stdout)["message"] == "[simulated] ready"
    )
    assert run("deployments", "logs", id, "--since", "2100-01-01").stdout == ""
    assert run("deployments", "logs", id, "--since", "soon").exit_code == 2


def screen_lines(text: str) -> list[str]:
    """Return every line that was on the screen at some time."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", re.sub(r"\x1b\[[0-9;]*m", "", text)).replace("\r", "\n").splitlines()


@pytest.mark.parametrize("columns", [40, 60, 100, 200])
def test_wait_on_a_terminal(columns: int) -> None:
    """On a terminal, a bar shows the replicas and their states; at the end it is removed and the cursor is visible.

    No line is wider than the terminal, and the bar leaves room for a ^C, which would otherwise wrap the line.
    """
    created = deployments.create_deployment("t", "p", spec(replicas=3))
    waited = run_on_terminal("deployments", "wait", created["id"], columns=columns)
    assert waited.code == 0
    assert "all replicas ready" in waited.text
    assert waited.text.rstrip().endswith(f"Ready deployment: {created['id']}")
    assert waited.text.count("\x1b[?25l") == waited.text.count("\x1b[?25h") == 1
    lines = screen_lines(waited.text.partition("Ready deployment")[0])
    assert any("3/3 ready" in line for line in lines)
    assert any("3 healthy" in line for line in lines) is (columns >= 60)
    assert max(map(len, lines)) <= columns
    assert max(len(line) for line in lines if "━" in line) <= columns - len("^C")


def test_sigterm_while_waiting() -> None:
    """SIGTERM ends the wait with exit code 143 and restores the terminal."""
    created = deployments.create_deployment(
        "t", "p", {**spec(), "env": [{"name": "GRADIENT_SIMULATE", "value": "pending"}]}
    )
    waited = run_on_terminal("deployments", "wait", created["id"], terminate="0 of 1 replicas ready")
    assert waited.code == ExitCode.TERMINATED
    assert waited.text.count("\x1b[?25l") == waited.text.count("\x1b[?25h") == 1
    assert "Traceback" not in waited.text


@pytest.mark.parametrize("columns", [40, 80])
def test_ctrl_c_while_waiting(columns: int) -> None:
    """Ctrl-C ends the wait with exit code 130, restores the terminal, and prints how to wait again."""
    created = deployments.create_deployment(
        "t", "p", {**spec(), "env": [{"name": "GRADIENT_SIMULATE", "value": "pending"}]}
    )
    waited = run_on_terminal("deployments", "wait", created["id"], columns=columns, interrupt="is pending")
    assert waited.code == 130
    assert waited.text.count("\x1b[?25l") == waited.text.count("\x1b[?25h") == 1
    removed, end, note = waited.text.rpartition("\r\x1b[1A\x1b[2K\n")  # removes the bar, and begins a line after the ^C
    assert (removed != "", end != "") == (True, True)
    expected = f"Only the wait was interrupted. To wait again: gradient deployments wait {created['id']}"
    assert note.split() == expected.split()
    assert "Traceback" not in waited.text


@pytest.mark.parametrize(
    ("simulate", "timeout", "error", "code"),
    [("fail", "60", DeploymentFailedError, 6), ("pending", "1", WaitTimeoutError, 7)],
)
def test_wait_fails(run: Run, simulate: str, timeout: str, error: type[GradientError], code: int) -> None:
    """The exit code is 6 for a deployment that fails and 7 for one that is not ready in time, with the error's message."""
    env: list[EnvVariableInput] = [{"name": "GRADIENT_SIMULATE", "value": simulate}]
    created_id = deployments.create_deployment("m", "p", {**spec(), "env": env})["id"]
    waited = run("deployments", "wait", created_id, "--timeout", timeout)
    assert (waited.exit_code, waited.stdout) == (code, "")
    with pytest.raises(error) as raised:
        deployments.wait_for_deployment(created_id, timeout=float(timeout))
    assert f"Error: {str(raised.value).splitlines()[0]}" in waited.stderr.splitlines()


NAMED = ["--name", "n", "--project-id", "p"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["create", "--name", "other", "--project-id", "p"], "Created deployment: "),
        (["update", *NAMED], "Updated deployment: "),
        (["apply", *NAMED], "Unchanged deployment: "),
    ],
)
def test_change_and_wait(run: Run, file: str, id: str, words: list[str], line: str) -> None:
    """--wait waits as `wait` does, even if nothing changed; stdout has only the line of the change."""
    waited = run("deployments", *words, "--spec", file, "--wait")
    assert (waited.exit_code, waited.stdout[: len(line)], waited.stdout.count("\n")) == (0, line, 1)
    assert "all replicas ready" in waited.stderr
    waited_id = waited.stdout.split()[-1]
    assert (waited_id == id) is (words[0] != "create")
    assert deployments.get_deployment_status(waited_id)["state"] == "ready"


@pytest.mark.parametrize("words", ["create", "apply"])
def test_the_line_of_a_change_comes_before_the_wait(words: str, tmp_path: Path) -> None:
    """The created deployment is printed before the wait, which may fail."""
    failing = tmp_path / "failing.yaml"
    content = {**spec(), "env": [{"name": "GRADIENT_SIMULATE", "value": "fail"}]}
    failing.write_text(yaml.safe_dump(content), encoding="utf-8")
    shown = run_on_terminal("deployments", words, *NAMED, "--spec", str(failing), "--wait", columns=200)
    assert shown.code == 6
    [deployment] = deployments.list_deployments()
    assert 0 <= shown.text.find(f"Created deployment: {deployment['id']}") < shown.text.find("is applied")
    assert "Error: deployment n (" in shown.text


def test_nothing_to_wait_for(run: Run, file: str) -> None:
    """--dry-run and --wait exclude each other."""
    refused = run("deployments", "apply", *NAMED, "--spec", file, "--dry-run", "--wait")
    assert refused.exit_code == 2
    assert "--dry-run and --wait cannot be used together" in refused.stderr
    assert deployments.list_deployments() == []


def test_validate(run: Run, file: str, tmp_path: Path) -> None:
    """`validate` accepts a valid file; for an invalid one it prints every problem with its line and exits with 5."""
    assert run("deployments", "validate", file).stdout == "The spec is valid.\n"
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("image: nginx\nport: '80'\nprot: 1\n", encoding="utf-8")
    refused = run("deployments", "validate", str(wrong))
    assert refused.exit_code == 5
    assert f"{wrong}:2:7: port: expected an integer" in refused.stderr
    assert f"{wrong}:3:1: prot: unknown field" in refused.stderr
    assert run("deployments", "validate", "-", stdin="image: :image\n").exit_code == 5
    assert run("deployments", "validate", "-", "--image", "nginx", stdin="image: :image\n").exit_code == 0


def test_schema_of_a_spec(run: Run, tmp_path: Path) -> None:
    """`schema spec` prints the JSON Schema of a spec, or writes it to a file."""
    printed = run("schema", "spec").stdout
    assert json.loads(printed)["required"] == ["image"]
    file = tmp_path / "spec.schema.json"
    written = run("schema", "spec", "--output", str(file))
    assert (written.stdout, written.stderr) == ("", f"Wrote {file}\n")
    assert file.read_text(encoding="utf-8") == printed
    assert run("schema", "spec", "--output", str(tmp_path)).exit_code == 2


def test_timeout_of_wait_option(run: Run, file: str, tmp_path: Path) -> None:
    """--timeout limits the wait of --wait, and is refused without it."""
    refused = run("deployments", "create", *NAMED, "--spec", file, "--timeout", "5")
    assert (refused.exit_code, deployments.list_deployments()) == (2, [])
    assert "--timeout works only with --wait." in refused.stderr
    pending = tmp_path / "pending.yaml"
    pending.write_text("image: x\nenv: [{name: GRADIENT_SIMULATE, value: pending}]\n", encoding="utf-8")
    waited = run("deployments", "create", *NAMED, "--spec", str(pending), "--wait", "--timeout", "0.5")
    assert waited.exit_code == 7
    assert "is not ready after 0.5 s" in waited.stderr


def test_wait_for_a_revision(run: Run, id: str) -> None:
    """`wait --revision` waits for this revision, and fails if another has replaced it. It needs one deployment."""
    scaled = deployments.scale_deployment(id, 2)
    first = deployments.get_deployment_history(id)[1]
    assert run("deployments", "wait", "n", "--revision", scaled["specId"]).exit_code == 0
    replaced = run("deployments", "wait", "n", "--revision", first["id"])
    assert (replaced.exit_code, replaced.stdout) == (1, "")
    assert (
        f"spec {first['id']} of deployment n ({id}) is not the newest: another change added spec {scaled['specId']}"
        in replaced.stderr
    )
    deployments.create_deployment("other", "p", spec())
    assert run("deployments", "wait", "n", "other", "--revision", first["id"]).exit_code == 2
