"""Commands that read spec files: defaults in the file, overrides, folders, --prune, and a single validation."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.conftest import GRADIENT, run_on_terminal, run_process

from paperspace.gradient import PermissionDeniedError, deployments
from paperspace.gradient._spec import checks
from paperspace.gradient.cli._exit_codes import ExitCode

if TYPE_CHECKING:
    from tests.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> str:
    """Write a file, and return its name."""
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return name


def names() -> list[str]:
    """The names of all deployments, sorted."""
    return sorted(deployment["name"] for deployment in deployments.list_deployments())


def spec_of(name: str) -> dict[str, Any]:
    """The newest spec of a deployment, with what is set only."""
    [deployment] = deployments.list_deployments(name=name)
    return dict(deployments.get_deployment_spec(deployment["id"]))


class TestSingleValidation:
    """The spec of a file is validated once on its way to the server."""

    @pytest.fixture
    def validations(self, monkeypatch: pytest.MonkeyPatch) -> list[object]:
        """The specs that pydantic validates, in the order of the validations."""
        validated: list[object] = []
        adapter = checks._adapter()

        class Recording:
            def validate_python(self, value: object, **options: Any) -> Any:
                # Without `extra`, it makes the copy that is sent: of a valid spec, which the caller may change meanwhile.
                if "extra" in options:
                    validated.append(value)
                return adapter.validate_python(value, **options)

        monkeypatch.setattr(checks, "_adapter", Recording)
        return validated

    @pytest.mark.parametrize(
        "words",
        [
            ["apply"],
            ["create", "--spec", "paperspace.yaml"],
            ["diff"],
            ["validate"],
            ["apply", "--image", "b", "--env-file", "a.env"],
        ],
    )
    def test_once(self, run: Run, validations: list[object], words: list[str]) -> None:
        """Each command validates the spec of a file once."""
        write("paperspace.yaml", "name: n\nprojectId: p\nimage: a\n")
        write("a.env", "A=1\n")
        assert run("deployments", *words).exit_code == 0
        assert len(validations) == 1

    def test_once_if_invalid(self, run: Run, validations: list[object]) -> None:
        """An invalid spec is validated once too, and its problems have lines."""
        write("paperspace.yaml", "name: n\nprojectId: p\nimage: a\nport: 0\n")
        refused = run("deployments", "apply")
        assert refused.exit_code == ExitCode.INVALID_SPEC
        assert "paperspace.yaml:4:7: port: expected an integer from 1 to 65535, got 0" in refused.stderr
        assert len(validations) == 1

    @pytest.mark.parametrize("words", [["apply"], ["create", "--spec", "paperspace.yaml"], ["diff"]])
    def test_before_the_api_key(self, run: Run, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """An invalid spec is reported before a missing API key; a valid one needs the key."""
        monkeypatch.delenv("PAPERSPACE_API_KEY")
        write("paperspace.yaml", "name: n\nprojectId: p\nimage: a\nprot: 1\n")
        refused = run("deployments", *words)
        assert (refused.exit_code, "paperspace.yaml:4:1: prot" in refused.stderr) == (ExitCode.INVALID_SPEC, True)
        write("paperspace.yaml", "name: n\nprojectId: p\nimage: a\n")
        assert run("deployments", *words).exit_code == ExitCode.AUTHENTICATION


class TestNameAndProject:
    """The name and the project of the file, and the options."""

    def test_defaults(self, run: Run) -> None:
        """Without options, name and project come from the file; the options take precedence."""
        write("paperspace.yaml", "name: n\nprojectId: p\nimage: a\n")
        assert run("deployments", "apply").exit_code == 0
        assert run("deployments", "apply", "--name", "m", "--project-id", "q").exit_code == 0
        assert run("deployments", "create", "--spec", "paperspace.yaml", "--name", "o").exit_code == 0
        assert names() == ["m", "n", "o"]
        assert [deployment["name"] for deployment in deployments.list_deployments(project_id="q")] == ["m"]
        assert run("deployments", "diff").stdout == ""

    def test_missing(self, run: Run) -> None:
        """Where neither the file nor an option sets them, the error says how to."""
        write("paperspace.yaml", "image: a\n")
        refused = run("deployments", "apply")
        assert refused.exit_code == ExitCode.USAGE
        assert "pass --name, or set `name` in paperspace.yaml" in refused.stderr
        assert "pass --project-id, or set `projectId` in" in run("deployments", "apply", "--name", "n").stderr
        Path("paperspace.yaml").unlink()
        assert "no spec file found; looked for paperspace.yaml" in run("deployments", "apply").stderr

    def test_update(self, run: Run) -> None:
        """`update` finds the deployment by the name of the file; with an id, the file does not rename it."""
        write("a.yaml", "name: n\nprojectId: p\nimage: a\n")
        created = run("deployments", "create", "--spec", "a.yaml", "-o", "id").stdout.strip()
        write("a.yaml", "name: n\nprojectId: p\nimage: b\n")
        assert run("deployments", "update", "--spec", "a.yaml", "-o", "id").stdout.strip() == created
        write("a.yaml", "name: other\nprojectId: q\nimage: c\n")
        assert run("deployments", "update", "--id", created, "--spec", "a.yaml").exit_code == 0
        assert (names(), spec_of("n")["image"]) == (["n"], "c")


class TestOverrides:
    """--image, --env-file and --env-subst."""

    @pytest.mark.parametrize("words", [["create"], ["apply"]])
    def test_image(self, run: Run, words: list[str]) -> None:
        """--image replaces the image of the file, and a note says which; it fills in a placeholder without one."""
        for text, note in (("old", "Note: --image replaces the image old of a.yaml\n"), (":image", "")):
            write("a.yaml", f"name: {text.strip(':')}\nprojectId: p\nimage: {text}\n")
            changed = run("deployments", *words, "--spec", "a.yaml", "--image", "example/new:sha")
            assert (changed.exit_code, changed.stderr.startswith(note or "+ image")) == (
                (0, True) if words == ["apply"] or note else (0, False)
            )
            assert spec_of(text.strip(":"))["image"] == "example/new:sha"

    def test_image_of_an_update(self, run: Run) -> None:
        """`update --spec` takes --image too."""
        write("a.yaml", "name: n\nprojectId: p\nimage: a\n")
        run("deployments", "create", "--spec", "a.yaml")
        updated = run("deployments", "update", "--spec", "a.yaml", "--image", "b")
        assert (updated.stderr, spec_of("n")["image"]) == ("Note: --image replaces the image a of a.yaml\n", "b")

    def test_variables(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """--env-file adds variables and --env-subst substitutes them."""
        monkeypatch.setenv("TAG", "1.5")
        write("a.yaml", "name: n\nprojectId: p\nimage: x:${TAG}\n")
        write("a.env", "A=1\n")
        applied = run("deployments", "apply", "--spec", "a.yaml", "--env-subst", "--env-file", "a.env")
        assert applied.exit_code == 0
        assert (spec_of("n")["image"], spec_of("n")["env"]) == ("x:1.5", [{"name": "A", "value": "1"}])
        assert run("deployments", "validate", "a.yaml").exit_code == ExitCode.INVALID_SPEC

    def test_standard_input(self, run: Run) -> None:
        """A spec from standard input may be YAML or JSON, also by the path of the device."""
        assert run("deployments", "validate", "-", stdin='{\n\t"image": "a"\n}').exit_code == 0
        assert run("deployments", "validate", "-", stdin="#" * 1_000_001).exit_code == ExitCode.INVALID_SPEC
        shell = f"printf 'image: a' | {' '.join(map(repr, GRADIENT))} deployments validate /dev/stdin"
        assert os.waitstatus_to_exitcode(os.system(shell)) == 0  # our own words


class TestFolder:
    """`apply` with several files or a folder, and --prune."""

    @pytest.fixture(autouse=True)
    def files(self) -> None:
        """A folder with two specs, and files that are none."""
        write("team/b.json", '{"name": "b", "image": "x"}')
        write("team/a.yaml", "name: a\nimage: x\n")
        write("team/notes.txt", "no spec")
        write("team/.hidden.yaml", "no spec")
        Path("team/more.yaml").mkdir()

    def test_folder(self, run: Run) -> None:
        """All spec files of a folder are applied in the order of their names; each line names its deployment."""
        applied = run("deployments", "apply", "--project-id", "p", "--spec", "team")
        assert applied.exit_code == 0
        assert [line.split()[-1] for line in applied.stdout.splitlines()] == ["(a)", "(b)"]
        again = run("deployments", "apply", "--project-id", "p", "team/a.yaml", "team/b.json", "-o", "json")
        assert [(entry["name"], entry["action"]) for entry in json.loads(again.stdout)] == [
            ("a", "unchanged"),
            ("b", "unchanged"),
        ]
        waited = run("deployments", "apply", "--project-id", "p", "team", "--wait")
        assert waited.exit_code == 0
        assert {"a | all replicas ready", "b | all replicas ready"} <= set(waited.stderr.splitlines())

    def test_nothing_is_sent_if_one_is_invalid(self, run: Run, wire: list[Any]) -> None:
        """All files are validated first, and the problems of all are reported."""
        write("team/c.yaml", "name: c\nimage: x\nprot: 1\n")
        write("team/d.yaml", "name: d\n")
        refused = run("deployments", "apply", "--project-id", "p", "team")
        assert (refused.exit_code, wire) == (ExitCode.INVALID_SPEC, [])
        assert "team/c.yaml:3:1: prot" in refused.stderr
        assert "team/d.yaml:1:1: image: missing" in refused.stderr

    def test_the_others_are_applied(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """If one cannot be applied, the others are; the exit code is that of the error, and nothing is pruned."""
        deployments.create_deployment("old", "p", {"image": "x"})
        apply = deployments.Deployments.apply_deployment

        def refuse_a(self: Any, name: str, *arguments: Any, **options: Any) -> Any:
            if name == "a":
                raise PermissionDeniedError("no permission for a")
            return apply(self, name, *arguments, **options)

        monkeypatch.setattr(deployments.Deployments, "apply_deployment", refuse_a)
        applied = run("deployments", "apply", "--project-id", "p", "team", "--prune", "--yes", "-o", "json")
        assert applied.exit_code == ExitCode.AUTHENTICATION
        assert "a:\nError: no permission for a\n" in applied.stderr
        assert "Nothing was deleted, as there were errors." in applied.stderr
        assert [entry["name"] for entry in json.loads(applied.stdout)] == ["b"]
        assert names() == ["b", "old"]

    def test_the_others_are_waited_for(self, run: Run) -> None:
        """If one fails while it is waited for, the others are waited for, and nothing is pruned."""
        deployments.create_deployment("old", "p", {"image": "x"})
        write("team/a.yaml", "name: a\nimage: x\nenv: [{name: GRADIENT_SIMULATE, value: fail}]\n")
        applied = run("deployments", "apply", "--project-id", "p", "team", "--prune", "--yes", "--wait")
        assert applied.exit_code == ExitCode.DEPLOYMENT_FAILED
        assert "all replicas ready" in applied.stderr
        assert names() == ["a", "b", "old"]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["team", "--name", "n"], "--name works with one spec file only"),
            (["team", "--image", "x"], "--image works with one spec file only"),
            (["team", "--prune"], "Without a terminal, --prune needs --yes"),
            (
                ["team", "same.yaml"],
                "team/a.yaml and same.yaml describe the same deployment, a: set another `name` in one",
            ),
            (["unnamed.yaml", "team"], "pass --name, or set `name` in unnamed.yaml"),
            (["team", "team/a.yaml"], "team/a.yaml is passed twice."),
            (["./unnamed.yaml", "unnamed.yaml"], "unnamed.yaml is passed twice."),
            (["empty"], "no spec files in empty; looked for *.yaml"),
        ],
    )
    def test_refused(self, run: Run, wire: list[Any], arguments: list[str], message: str) -> None:
        """Options that make no sense for several files are refused, and nothing is sent."""
        write("same.yaml", "name: a\nimage: x\n")
        write("unnamed.yaml", "image: x\n")
        Path("empty").mkdir()
        refused = run("deployments", "apply", "--project-id", "p", *arguments)
        assert message in refused.stderr
        assert (refused.exit_code != 0, wire) == (True, [])

    def test_prune(self, run: Run) -> None:
        """--prune deletes the deployments of the project that no file describes, after the others are applied."""
        deployments.create_deployment("old", "p", {"image": "x"})
        deployments.create_deployment("elsewhere", "q", {"image": "x"})
        arguments = ["deployments", "apply", "--project-id", "p", "team", "--prune"]
        planned = run(*arguments, "--dry-run")
        assert "Deployments that no file describes:\n  old  " in planned.stderr
        assert "Dry run: would delete deployment: " in planned.stdout
        assert names() == ["elsewhere", "old"]
        pruned = run(*arguments, "--yes", "-o", "json")
        assert [(entry["name"], entry["action"]) for entry in json.loads(pruned.stdout)] == [
            ("a", "created"),
            ("b", "created"),
            ("old", "deleted"),
        ]
        assert names() == ["a", "b", "elsewhere"]

    def test_prune_with_a_missing_file(self, run: Run) -> None:
        """A link in the folder to a file that does not exist is an error, and its deployment is not deleted."""
        arguments = ["deployments", "apply", "--project-id", "p", "team", "--prune", "--yes"]
        run(*arguments)
        file = Path("team/b.json")
        for target in ("../missing.yaml", file.name):  # the second one is itself
            file.unlink()
            file.symlink_to(target)
            refused = run(*arguments)
            assert (refused.exit_code, "cannot read team/b.json: " in refused.stderr) == (ExitCode.INVALID_SPEC, True)
            assert names() == ["a", "b"]

    def test_prune_in_one_project(self, run: Run) -> None:
        """--prune is refused if the files are of several projects."""
        write("team/c.yaml", "name: c\nprojectId: q\nimage: x\n")
        write("team/a.yaml", "name: a\nprojectId: p\nimage: x\n")
        write("team/b.json", '{"name": "b", "projectId": "p", "image": "x"}')
        refused = run("deployments", "apply", "team", "--prune", "--yes")
        assert (refused.exit_code, names()) == (ExitCode.USAGE, [])

    @pytest.mark.parametrize(("key", "left"), [(b"n\n", ["old"]), (b"y\n", ["a", "b"])])
    def test_prune_asks(self, key: bytes, left: list[str]) -> None:
        """On a terminal, --prune shows what it would delete and asks; without consent, nothing is applied or deleted."""
        deployments.create_deployment("old", "p", {"image": "x"})
        asked = run_on_terminal("deployments", "apply", "--project-id", "p", "team", "--prune", typed=key)
        assert "old" in asked.text
        assert (names(), asked.code) == (left, 0 if key == b"y\n" else 1)


def test_unreachable_server_skips_the_rest() -> None:
    """If the server cannot be reached, the other files are not tried."""
    write("team/a.yaml", "name: a\nprojectId: p\nimage: x\n")
    write("team/b.yaml", "name: b\nprojectId: p\nimage: x\n")
    failed = run_process("deployments", "apply", "team", "--api-url", "http://127.0.0.1:9/graphql")
    assert failed.returncode == ExitCode.FAILED
    assert failed.stderr.count("Error: ") == 1
    assert failed.stderr.endswith("Not applied: b\n")


@pytest.mark.parametrize(
    "text", ['{"image": "hunter2"}', "image: hunter2", "A=hunter2", "https://u:hunter2@a.example/s"]
)
@pytest.mark.parametrize(
    "words",
    [
        ["create", "--name", "n", "--project-id", "p", "--spec"],
        ["update", "n", "--spec"],
        ["diff", "--spec"],
        ["apply", "--spec"],
        ["apply"],
        ["validate"],
        ["update", "n", "--env-file"],
    ],
    ids=" ".join,
)
def test_text_instead_of_a_path(run: Run, words: list[str], text: str) -> None:
    """Text in place of the path of a file is an error that says what to do, and does not show it."""
    shown = run("deployments", *words, text)
    assert shown.exit_code in {ExitCode.USAGE, ExitCode.INVALID_SPEC}
    assert "expected the path of a file, got text that is not a path" in shown.stderr
    assert "rite the text to a file" in shown.stderr
    assert "hunter2" not in shown.output
