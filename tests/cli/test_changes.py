"""The commands beyond the retired client's: what they print, and how they end."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.cli.conftest import on_terminal
from tests.deployments.test_changes import FULL
from tests.samples import SPEC, spec

from paperspace.gradient import deployments

if TYPE_CHECKING:
    from tests.cli.conftest import Run

UNKNOWN_ID = "00000000-0000-0000-0000-0000000000ff"

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A spec file."""
    path = tmp_path / "paperspace.yaml"
    path.write_text(yaml.safe_dump(dict(SPEC)), encoding="utf-8")
    return str(path)


@pytest.fixture(name="id")
def _id() -> str:
    """A deployment named n in p."""
    return deployments.create_deployment("n", "p", SPEC)["id"]


def test_apply(run: Run, file: str) -> None:
    """The first time it creates, then nothing is to do, and a change updates; what changes is on stderr."""
    arguments = ["deployments", "apply", "--name", "n", "--projectId", "p", "--spec", file]
    planned = run(*arguments, "--dry-run")
    assert (planned.exit_code, planned.stdout) == (0, "Not done, a dry run: Created deployment: n\n")
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


def test_apply_id(run: Run, file: str) -> None:
    """With -o id, the id is printed where there is one: not for what a dry run would create."""
    arguments = ["deployments", "apply", "--name", "n", "--projectId", "p", "--spec", file, "-o", "id"]
    assert run(*arguments, "--dry-run").stdout == ""
    [own] = run(*arguments).stdout.split()
    assert run(*arguments, "--dry-run").stdout == f"{own}\n"


def test_diff(run: Run, file: str, id: str) -> None:
    """What differs is on stdout; only on demand it is an exit code."""
    arguments = ["deployments", "diff", "--name", "n", "--project-id", "p", "--spec", file, "--exit-code"]
    assert (run(*arguments).exit_code, run(*arguments).stdout) == (0, "")
    deployments.scale_deployment(id, 2)
    differs = run(*arguments)
    assert (differs.exit_code, differs.stdout) == (8, "~ resources.replicas: 2 -> 1\n")
    assert run(*arguments[:-1]).exit_code == 0


def test_scale_stop_start(run: Run, id: str) -> None:
    """Each says what it did, by the id as an argument or as an option."""
    assert run("deployments", "scale", id, "--replicas", "3").stdout == f"Scaled deployment: {id}\n"
    assert run("deployments", "stop", "--id", id).stdout == f"Stopped deployment: {id}\n"
    assert run("deployments", "start", id).stdout == f"Started deployment: {id}\n"
    [newest, *_] = deployments.get_deployment_history(id)
    assert (newest["data"]["enabled"], newest["data"]["resources"]) != (False, None)
    assert len(deployments.get_deployment_history(id)) == 4


def test_history_and_rollback(run: Run, id: str) -> None:
    """The history names each spec with its change, and one of them is put back."""
    deployments.scale_deployment(id, 3)
    newest, first = deployments.get_deployment_history(id)
    shown = run("deployments", "history", id).stdout.splitlines()
    assert shown[0].startswith(f"{newest['id']}  {newest['dtCreated']}  First Last")
    assert shown[1] == "    ~ resources.replicas: 1 -> 3"
    assert run("deployments", "history", id, "-o", "id").stdout.split() == [newest["id"], first["id"]]
    assert run("deployments", "rollback", id, "--to", first["id"]).stdout == f"Rolled back deployment: {id}\n"
    assert deployments.diff_deployment("n", "p", SPEC)["changes"] == []


def test_no_password_is_printed(run: Run, tmp_path: Path) -> None:
    """Whatever is printed in whichever format, passwords are hidden; the library has them, and a rollback keeps them."""
    path = tmp_path / "full.yaml"
    path.write_text(yaml.safe_dump(dict(FULL)), encoding="utf-8")
    named = ["--name", "n", "--project-id", "p", "--spec", str(path)]
    shown = [run("deployments", "apply", *named, "-o", "json")]
    own = json.loads(shown[0].stdout)["id"]
    deployments.update_deployment(id=own, spec=SPEC)
    for output in ([], ["-o", "json"], ["-o", "yaml"]):
        shown += [run("deployments", words, own, *output) for words in ("history", "get", "wait")]
        shown += [run("deployments", "list", *output)]
        shown += [
            run("deployments", words, *named, *output, *more)
            for words, more in (("diff", []), ("apply", ["--dry-run"]))
        ]
    assert {one.exit_code for one in shown} == {0}
    assert "hunter2" not in "".join(one.output for one in shown)
    assert "(hidden)" in run("deployments", "history", own, "-o", "json").stdout
    _, first = deployments.get_deployment_history(own)
    run("deployments", "rollback", own, "--to", first["id"])
    assert "hunter2" in str(deployments.get_deployment_history(own)[0]["data"])


def test_what_is_not_there(run: Run, id: str) -> None:
    """The retired client's line is for a deployment that is not there; a spec or instance that is not is 3 too."""
    line = "Deployment not found\n"
    assert run("deployments", "rollback", UNKNOWN_ID, "--to", UNKNOWN_ID).stderr.startswith(line)
    for words in (["rollback", id, "--to", UNKNOWN_ID], ["logs", id, "--instance", "nope"]):
        refused = run("deployments", *words)
        assert (refused.exit_code, refused.stdout) == (3, "")
        assert refused.stderr.startswith(f"Error: the deployment {id} has no ")


def test_wait_and_logs(run: Run, id: str) -> None:
    """A wait ends with the state, what happens is on stderr; then the log has what was written."""
    waited = run("deployments", "wait", id)
    assert (waited.exit_code, waited.stdout) == (0, f"Ready deployment: {id}\n")
    assert "all replicas are ready" in waited.stderr
    lines = run("deployments", "logs", id, "--tail", "1").stdout
    assert lines.endswith("[simulated] ready\n")
    assert (
        json.loads(run("deployments", "logs", id, "--tail", "1", "-o", "json").stdout)["message"] == "[simulated] ready"
    )
    assert run("deployments", "logs", id, "--since", "2100-01-01").stdout == ""
    assert run("deployments", "logs", id, "--since", "soon").exit_code == 2


def screen_lines(text: str) -> list[str]:
    """Every line that was on the screen for a moment, as it was read."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", re.sub(r"\x1b\[[0-9;]*m", "", text)).replace("\r", "\n").splitlines()


@pytest.mark.parametrize("columns", [40, 60, 100, 200])
def test_wait_on_a_terminal(columns: int) -> None:
    """On a terminal a bar shows the replicas and their states while it waits; then it is gone, and the cursor back.

    No line is torn, and beside the bar there is room for a ^C, behind which it could not be taken away any more.
    """
    created = deployments.create_deployment("t", "p", spec(replicas=3))
    waited = on_terminal("deployments", "wait", created["id"], columns=columns)
    assert waited.code == 0
    assert "all replicas are ready" in waited.text
    assert waited.text.rstrip().endswith(f"Ready deployment: {created['id']}")
    assert waited.text.count("\x1b[?25l") == waited.text.count("\x1b[?25h") == 1
    lines = screen_lines(waited.text.partition("Ready deployment")[0])
    assert any("3/3 ready" in line for line in lines)
    assert any("3 healthy" in line for line in lines) is (columns >= 60)
    assert max(map(len, lines)) <= columns
    assert max(len(line) for line in lines if "━" in line) <= columns - len("^C")
    assert re.search(r"is pending:\s+Simulated: the container\s+is starting\.", waited.text)


@pytest.mark.parametrize("columns", [40, 80])
def test_ctrl_c_while_waiting(columns: int) -> None:
    """Ctrl-C ends the wait with 130, and the terminal is as it was."""
    created = deployments.create_deployment(
        "t", "p", {**spec(), "env": [{"name": "GRADIENT_SIMULATE", "value": "pending"}]}
    )
    waited = on_terminal("deployments", "wait", created["id"], columns=columns, interrupt="0 of 1 replicas are ready")
    assert waited.code == 130
    assert waited.text.count("\x1b[?25l") == waited.text.count("\x1b[?25h") == 1
    assert waited.text.endswith("\r\x1b[1A\x1b[2K\n")  # the bar is taken away, and the prompt has a line of its own
    assert "Traceback" not in waited.text


@pytest.mark.parametrize(("fate", "code"), [("fail", 6), ("pending", 7)])
def test_wait_that_does_not_end_well(run: Run, fate: str, code: int) -> None:
    """A deployment that fails is exit code 6, one that is not there in time is 7; both say why."""
    made = deployments.create_deployment("m", "p", {**spec(), "env": [{"name": "GRADIENT_SIMULATE", "value": fate}]})
    waited = run("deployments", "wait", made["id"], "--timeout", "1" if code == 7 else "60")
    assert (waited.exit_code, waited.stdout) == (code, "")
    assert "failed" in waited.stderr or "not there after 1 s" in waited.stderr


NAMED = ["--name", "n", "--project-id", "p"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["create", "--name", "fresh", "--project-id", "p"], "Created deployment: "),
        (["update", *NAMED], "Updated deployment: "),
        (["apply", *NAMED], "Unchanged deployment: "),
    ],
)
def test_change_and_wait(run: Run, file: str, id: str, words: list[str], line: str) -> None:
    """With --wait, a change waits as `wait` does, also where there was nothing to do; stdout has its own line alone."""
    waited = run("deployments", *words, "--spec", file, "--wait")
    assert (waited.exit_code, waited.stdout[: len(line)], waited.stdout.count("\n")) == (0, line, 1)
    assert "all replicas are ready" in waited.stderr
    own = waited.stdout.split()[-1]
    assert (own == id) is (words[0] != "create")
    assert deployments.get_deployment_status(own)["state"] == "ready"


@pytest.mark.parametrize("words", ["create", "apply"])
def test_the_line_of_a_change_comes_before_the_wait(words: str, tmp_path: Path) -> None:
    """What was created is known before it is waited for, whatever becomes of that."""
    failing = tmp_path / "failing.yaml"
    content = {**spec(), "env": [{"name": "GRADIENT_SIMULATE", "value": "fail"}]}
    failing.write_text(yaml.safe_dump(content), encoding="utf-8")
    shown = on_terminal("deployments", words, *NAMED, "--spec", str(failing), "--wait", columns=200)
    assert shown.code == 6
    [own] = deployments.list_deployments()
    assert 0 <= shown.text.find(f"Created deployment: {own['id']}") < shown.text.find("is applied")
    assert "Error: the deployment 'n'" in shown.text


def test_nothing_to_wait_for(run: Run, file: str) -> None:
    """A dry run cannot be waited for."""
    refused = run("deployments", "apply", *NAMED, "--spec", file, "--dry-run", "--wait")
    assert refused.exit_code == 2
    assert "give --dry-run or --wait" in refused.stderr
    assert deployments.list_deployments() == []


def test_validate(run: Run, file: str, tmp_path: Path) -> None:
    """A sound file is valid; every mistake of another is shown with its line, exit code 5."""
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
    """`schema spec` prints the JSON Schema that editors need, or writes it to a file."""
    printed = run("schema", "spec").stdout
    assert json.loads(printed)["required"] == ["image"]
    file = tmp_path / "spec.schema.json"
    written = run("schema", "spec", "--output", str(file))
    assert (written.stdout, written.stderr) == ("", f"Wrote {file}\n")
    assert file.read_text(encoding="utf-8") == printed
    assert run("schema", "spec", "--output", str(tmp_path)).exit_code == 2
