"""`gradient deployments` runs the functions and prints the lines of the retired client."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
import yaml
from tests.cli.conftest import SPEC, Run, run_process
from tests.samples import spec

from paperspace.gradient import Client
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.server import LocalServer

pytestmark = pytest.mark.usefixtures("environment")

MISSING = "d4e74a9c-b125-4bd7-b143-8f5c386df8a9"


@pytest.fixture
def mnist(client: Client) -> str:
    """Create a deployment named mnist, and return its id."""
    return client.deployments.create_deployment("mnist", "p1", spec())["id"]


def test_create(run: Run, client: Client, spec_file: str) -> None:
    """`create` creates a deployment from a spec file and prints the retired client's line."""
    shown = run("deployments", "create", "--name", "mnist", "--project-id", "p1", "--spec", spec_file)
    [created] = client.deployments.list_deployments()
    assert (shown.exit_code, shown.output) == (0, f"Created deployment: {created['id']}\n")
    assert created["name"] == "mnist"
    assert created["deploymentSpecs"]["nodes"][0]["data"] == spec()


@pytest.mark.parametrize("text", [SPEC, json.dumps(spec()), json.dumps(spec(), indent="\t")])
def test_spec_from_stdin(run: Run, client: Client, text: str) -> None:
    """`--spec -` reads the spec from standard input, in YAML or JSON."""
    words = ["deployments", "create", "--name", "mnist", "--projectId", "p1", "--spec", "-", "-o", "id"]
    shown = run(*words, stdin=text)
    assert shown.exit_code == 0
    created = client.deployments.get_deployment(shown.stdout.rstrip())
    assert created["deploymentSpecs"]["nodes"][0]["data"] == spec()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image: [", "standard input:1:9: invalid YAML: "),
        ("just words", "standard input: expected a spec"),
        ("", "standard input: expected a spec"),
        (
            "image: x\nprot: 1\n",
            "standard input:2:1: prot: unknown field (did you mean 'port'?)",
        ),
        ("port: 1\n", "standard input:1:1: image: missing"),
    ],
)
def test_bad_spec(run: Run, client: Client, text: str, words: str) -> None:
    """An invalid spec is an error with its position and exit code 5; nothing is created."""
    shown = run("deployments", "create", "--name", "mnist", "--project-id", "p1", "--spec", "-", stdin=text)
    assert (shown.exit_code, shown.stdout) == (ExitCode.INVALID_SPEC, "")
    assert words in shown.stderr
    assert client.deployments.list_deployments() == []


@pytest.mark.parametrize("command", ["create", "wait"])
def test_timeout_that_is_no_number(run: Run, client: Client, spec_file: str, command: str) -> None:
    """A timeout of `nan` is an error before anything is sent: nothing is created."""
    words = ["--name", "n", "--project-id", "p", "--spec", spec_file, "--wait"] if command == "create" else ["n"]
    refused = run("deployments", command, *words, "--timeout", "nan")
    assert (refused.exit_code, "'--timeout': 'nan' is not a number." in refused.stderr) == (ExitCode.USAGE, True)
    assert client.deployments.list_deployments() == []


def test_no_spec_file(run: Run) -> None:
    """A spec file that does not exist is a usage error that names the file."""
    shown = run("deployments", "create", "--name", "mnist", "--project-id", "p1", "--spec", "nowhere.yaml")
    assert shown.exit_code == ExitCode.USAGE
    assert "nowhere.yaml" in shown.stderr


def test_name_taken(run: Run, mnist: str, spec_file: str) -> None:
    """A name that is taken is an error with exit code 1."""
    shown = run("deployments", "create", "--name", "mnist", "--project-id", "p1", "--spec", spec_file)
    assert (shown.exit_code, shown.stdout) == (ExitCode.FAILED, "")
    assert shown.stderr == "Error: a deployment named 'mnist' already exists in project 'p1'\n"
    assert mnist not in shown.stderr


@pytest.mark.parametrize("by_name", [False, True])
def test_update(run: Run, client: Client, mnist: str, spec_file: str, by_name: bool) -> None:
    """`update` changes the spec of a deployment, found by id or by name and project, and prints the retired client's line."""
    which = ["--name", "mnist", "--projectId", "p1"] if by_name else ["--id", mnist]
    shown = run("deployments", "update", *which, "--spec", spec_file)
    assert (shown.exit_code, shown.output) == (0, f"Updated deployment: {mnist}\n")
    assert len(client.deployments.get_deployment(mnist)["deploymentSpecs"]["nodes"]) == 2


def test_rename(run: Run, client: Client, mnist: str) -> None:
    """`update --id --name` renames a deployment without a new revision."""
    assert run("deployments", "update", "--id", mnist, "--name", "digits").exit_code == 0
    renamed = client.deployments.get_deployment(mnist)
    assert (renamed["name"], len(renamed["deploymentSpecs"]["nodes"])) == ("digits", 1)


@pytest.mark.parametrize(
    "words",
    [[], ["mnist"], ["--id", MISSING], ["--name", "mnist"], ["--name", "mnist", "--project-id", "p1"]],
    ids=" ".join,
)
def test_update_of_nothing(run: Run, words: list[str]) -> None:
    """An update without a deployment or without a change is a usage error."""
    shown = run("deployments", "update", *words)
    assert shown.exit_code == ExitCode.USAGE
    assert "Pass a deployment (NAME, ID, or --name with --project-id) and at least one change." in shown.stderr


@pytest.mark.parametrize("option", [[], ["--id"]])
def test_get(run: Run, client: Client, mnist: str, option: list[str]) -> None:
    """`get` prints the JSON of the retired client: plain lists of nodes, whole specs, their clusters and runs."""
    variables = [{"name": "A", "value": "b"}]
    client.deployments.update_deployment(
        id=mnist, spec={"image": "nginx", "command": ["serve"], "env": variables}, cluster_id="c1"
    )
    shown = run("deployments", "get", *option, mnist)
    assert (shown.exit_code, shown.stderr) == (0, "")
    printed = json.loads(shown.stdout)
    documented: Any = client.deployments.get_deployment(mnist)
    assert {key: printed[key] for key in ("id", "name")} == {key: documented[key] for key in ("id", "name")}
    for revision, node in zip(printed["deploymentSpecs"], documented["deploymentSpecs"]["nodes"], strict=True):
        assert {key: revision[key] for key in ("id", "endpointUrl")} == {
            key: node[key] for key in ("id", "endpointUrl")
        }
        assert revision["actor"]["fullName"] == node["actor"]["fullName"]
        assert [len(revision["deploymentRuns"]), revision["data"]["image"]] == [1, node["data"]["image"]]
    newest = printed["deploymentSpecs"][0]
    assert newest["cluster"] == {"id": "c1"}
    assert newest["actor"]["avatarUrl"] is None
    assert newest["deploymentRuns"][0]["replicas"] == 1
    assert newest["data"] == {
        "image": "nginx",
        "port": None,
        "command": ["serve"],
        "containerRegistry": None,
        "enabled": None,
        "env": variables,
        "models": None,
        "protocol": None,
        "repositories": None,
        "resources": {"instanceType": None, "replicas": 1, "autoscaling": None},
    }


# What the retired client asked for, and printed. A nested tuple holds the keys of an object, or of each object in a list.
RETIRED_KEYS: dict[str, Any] = {
    "id": None,
    "name": None,
    "deploymentSpecs": {
        "id": None,
        "data": {
            "image": None,
            "port": None,
            "resources": {"instanceType": None, "replicas": None},
            "command": None,
            "env": {"name": None, "value": None},
            "models": {"id": None, "path": None},
        },
        "endpointUrl": None,
        "actor": {"avatarUrl": None, "fullName": None},
        "cluster": {"id": None},
        "deploymentRuns": {
            "id": None,
            "availableReplicas": None,
            "readyReplicas": None,
            "replicas": None,
            "deploymentRunInstances": {"id": None, "phase": None, "dtStarted": None, "dtFinished": None},
        },
    },
}


def missing_keys(printed: Any, keys: dict[str, Any] | None, path: str = "") -> list[str]:
    """Return the paths of the keys that an object, or an object in a list, does not have."""
    if keys is None:
        return []
    if isinstance(printed, list):
        assert printed, f"{path} is empty, so that nothing is compared"
        return [missing for entry in printed for missing in missing_keys(entry, keys, path)]
    paths = {key: f"{path}.{key}" for key in keys}
    return [
        missing
        for key, inner in keys.items()
        for missing in ([paths[key]] if key not in printed else missing_keys(printed[key], inner, paths[key]))
    ]


def test_get_prints_every_key_of_the_retired_client(run: Run, client: Client, mnist: str) -> None:
    """`get` has every key that a script may read from the retired client's JSON, down to the instances of the runs."""
    whole: Any = {"image": "a", "env": [{"name": "A", "value": "b"}], "models": [{"id": "m"}], "command": ["c"]}
    client.deployments.update_deployment(id=mnist, spec=whole | {"resources": {"replicas": 2}}, wait=True)
    printed = json.loads(run("deployments", "get", mnist).stdout)
    printed["deploymentSpecs"] = printed["deploymentSpecs"][:1]
    assert missing_keys(printed, RETIRED_KEYS) == []
    [instances] = [entry["deploymentRunInstances"] for entry in printed["deploymentSpecs"][0]["deploymentRuns"]]
    assert [instance["phase"] for instance in instances] == ["Running", "Running"]


def test_get_prints_every_revision(run: Run, client: Client, mnist: str) -> None:
    """`get` prints all revisions, also those beyond the first page."""
    for port in range(1, 102):
        client.deployments.update_deployment(id=mnist, spec=spec(port=port))
    printed = json.loads(run("deployments", "get", mnist).stdout)["deploymentSpecs"]
    assert [revision["data"]["port"] for revision in printed] == [*range(101, 0, -1), 8501]


@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_machine_formats(run: Run, client: Client, mnist: str, output: str, read: Any) -> None:
    """-o json and -o yaml print the documented dicts; `list` adds the state to each."""
    assert read(run("deployments", "get", mnist, "-o", output).stdout) == client.deployments.get_deployment(mnist)
    [status] = client.deployments.list_deployment_statuses()
    state = {
        key: status[key]
        for key in ("state", "readyReplicas", "replicas", "serving", "endpointUrl", "protected", "error")
    }
    [listed] = read(run("deployments", "list", "--output", output).stdout)
    assert listed == {**client.deployments.list_deployments()[0], **state}
    updated = run("deployments", "update", "--id", mnist, "--name", "digits", "-o", output)
    assert read(updated.stdout) == {"id": mnist}
    assert read(run("deployments", "list", "--name", "nothing", "-o", output).stdout) == []


def test_lines(run: Run, client: Client, mnist: str) -> None:
    """-o name and -o id print one line per deployment, and nothing for an empty list."""
    second = client.deployments.create_deployment("digits", "p2", spec())["id"]
    assert run("deployments", "list", "-o", "name").output == "digits\nmnist\n"
    assert run("deployments", "list", "-o", "id").output == f"{second}\n{mnist}\n"
    assert run("deployments", "list", "-o", "id", "--limit", "1").output == f"{second}\n"
    assert run("deployments", "list", "-o", "id", "--projectId", "p1").output == f"{mnist}\n"
    assert run("deployments", "list", "-o", "id", "--name", "nothing").output == ""


def test_every_deployment_is_listed(run: Run, client: Client) -> None:
    """`list` fetches all pages."""
    for number in range(101):
        client.deployments.create_deployment(f"d{number}", "p1", spec())
    assert len(run("deployments", "list", "-o", "id").stdout.splitlines()) == 101


def test_nothing_to_list(run: Run) -> None:
    """An empty list prints the retired client's line and exits with 0."""
    shown = run("deployments", "list")
    assert (shown.exit_code, shown.stdout, shown.stderr) == (0, "No deployments found\n", "")


def test_other_encodings(client: Client) -> None:
    """If the encoding of stdout lacks a character, JSON and YAML are ASCII, and a table shows its code point."""
    client.deployments.create_deployment("数字", "p1", spec())
    for output, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        shown = run_process("deployments", "list", "-o", output, PYTHONIOENCODING="latin-1")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert read(shown.stdout)[0]["name"] == "数字"
    assert "\n\\u6570\\u5b57 " in run_process("deployments", "list", PYTHONIOENCODING="latin-1").stdout


def test_names_are_whole(run: Run, client: Client) -> None:
    """Names with unusual spaces or joined emoji are printed unchanged."""
    for name in ("a\u3000b\u00a0c", "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}"):
        client.deployments.create_deployment(name, "p1", spec())
        assert run("deployments", "list", "-o", "name", "--limit", "1").stdout == f"{name}\n"


@pytest.mark.parametrize("command", ["get", "delete", "update"])
def test_empty_id(run: Run, client: Client, mnist: str, spec_file: str, command: str) -> None:
    """An empty id, from a shell variable that is not set, is an error; `update` does not search by name instead."""
    more = ["--name", "mnist", "--projectId", "p1", "--spec", spec_file] if command == "update" else []
    before = client.deployments.get_deployment(mnist)
    shown = run("deployments", command, "--id", "", *more)
    assert shown.exit_code == ExitCode.USAGE
    assert "expected a UUID such as 'd4e74a9c-b125-4bd7-b143-8f5c386df8a9', got ''" in shown.stderr
    assert client.deployments.get_deployment(mnist) == before


def test_empty_key(run: Run) -> None:
    """An empty --apiKey is an error; the key in the environment is not used instead."""
    shown = run("deployments", "list", "--apiKey", "")
    assert shown.exit_code == ExitCode.USAGE
    assert "invalid API key from --api-key" in shown.stderr


@pytest.mark.parametrize(
    ("words", "stdout"),
    [
        (["get"], "Deployment not found\n"),
        (["delete"], "Deployment not found\n"),
        (["get", "-o", "json"], ""),
        (["get", "--spec"], ""),
        (["update", "--name", "digits"], ""),
        (["logs"], ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_not_found(run: Run, words: list[str], stdout: str) -> None:
    """A missing deployment is an error with code 3; `get` and `delete` print the retired client's line where that did."""
    shown = run("deployments", *words, "--id", MISSING)
    assert (shown.exit_code, shown.stdout) == (ExitCode.NOT_FOUND, stdout)
    [line] = shown.stderr.splitlines()
    assert line.startswith("Error: ")
    assert MISSING in line


@pytest.mark.parametrize(
    ("words", "reason"),
    [([], "Missing deployment: pass its name or its id"), (["a", "--id", "b"], "Got two deployments, a and b")],
)
def test_which_one(run: Run, words: list[str], reason: str) -> None:
    """`get` requires exactly one id."""
    shown = run("deployments", "get", *words)
    assert shown.exit_code == ExitCode.USAGE
    assert reason in shown.stderr


def test_no_id(run: Run) -> None:
    """An invalid id in --id is a usage error, not a missing deployment."""
    shown = run("deployments", "get", "--id", "mnist")
    assert shown.exit_code == ExitCode.USAGE
    assert "expected a UUID such as 'd4e74a9c-b125-4bd7-b143-8f5c386df8a9', got 'mnist'" in shown.stderr


def test_delete_one_twice(run: Run) -> None:
    """An id that is passed twice, in upper or lower case, is deleted once."""
    with LocalServer() as server, Client(server.api_key, server.url) as client:
        created_id = client.deployments.create_deployment("n", "p", spec())["id"]
        options = ["--api-url", server.url, "--api-key", server.api_key]
        shown = run(
            "deployments", "delete", "--yes", created_id.upper(), created_id, "--id", created_id.upper(), *options
        )
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.lower() == f"deleted deployment: {created_id}\n"


def test_delete(run: Run, client: Client, mnist: str) -> None:
    """Without a terminal, `delete` of one deployment asks nothing and prints the retired client's line."""
    shown = run("deployments", "delete", "--id", mnist)
    assert (shown.exit_code, shown.output) == (0, f"Deleted deployment: {mnist}\n")
    assert client.deployments.list_deployments() == []


def test_delete_several(run: Run, client: Client, mnist: str) -> None:
    """Without a terminal, `delete` of several requires --yes; a missing one does not stop the others."""
    second = client.deployments.create_deployment("digits", "p1", spec())["id"]
    words = ["deployments", "delete", mnist, MISSING, "--id", second, "--id", mnist]
    refused = run(*words)
    assert refused.exit_code == ExitCode.USAGE
    assert "Pass --yes to delete 3 deployments" in refused.stderr
    assert len(client.deployments.list_deployments()) == 2
    done = run(*words, "--yes")
    assert done.exit_code == ExitCode.NOT_FOUND
    assert done.stdout == f"Deleted deployment: {mnist}\nDeployment not found\nDeleted deployment: {second}\n"
    assert MISSING in done.stderr
    assert client.deployments.list_deployments() == []


@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_delete_for_scripts(run: Run, client: Client, mnist: str, output: str, read: Any) -> None:
    """-o json and -o yaml print the deployment that was deleted; for several, a list; nothing of one that is missing."""
    names = ["a", "b", "c"]
    a, b, c = [client.deployments.create_deployment(name, "p1", spec())["id"] for name in names]
    assert read(run("deployments", "delete", mnist, "-o", output).stdout) == {"id": mnist}
    missing = run("deployments", "delete", mnist, "-o", output)
    assert (missing.exit_code, missing.stdout) == (ExitCode.NOT_FOUND, "")
    several = run("deployments", "delete", "--yes", "a", "nothing", mnist, "b", "-o", output)
    assert (several.exit_code, read(several.stdout)) == (ExitCode.NOT_FOUND, [{"id": a}, {"id": b}])
    assert run("deployments", "delete", c, "-o", "id").output == f"{c}\n"


def test_delete_by_name(run: Run, client: Client, mnist: str) -> None:
    """A name is looked up in the project or in all. If several deployments have one of the names, nothing is deleted."""
    other = client.deployments.create_deployment("mnist", "p2", spec())["id"]
    digits = client.deployments.create_deployment("digits", "p2", spec())["id"]
    ambiguous = run("deployments", "delete", "digits", "mnist", "--yes")
    assert ambiguous.exit_code == ExitCode.USAGE
    assert all(id_ in ambiguous.stderr for id_ in (mnist, other))
    assert len(client.deployments.list_deployments()) == 3
    missing = run("deployments", "delete", "nothing", "digits", digits, "--yes")
    assert missing.exit_code == ExitCode.NOT_FOUND
    assert missing.stdout == f"Deployment not found\nDeleted deployment: {digits}\n"
    assert "no deployment is named 'nothing'" in missing.stderr
    deleted = run("deployments", "delete", "mnist", "--project-id", "p2")
    assert (deleted.exit_code, deleted.output) == (0, f"Deleted deployment: {other}\n")
    assert [entry["id"] for entry in client.deployments.list_deployments()] == [mnist]


@pytest.mark.parametrize("arguments", [[], ["--project-id", "p1", "--yes"]])
def test_delete_of_nothing(run: Run, client: Client, mnist: str, arguments: list[str]) -> None:
    """`delete` without a name or an id, as from an empty `$(...)`, is a usage error: a project alone deletes nothing."""
    assert run("deployments", "delete", *arguments).exit_code == ExitCode.USAGE
    assert [entry["id"] for entry in client.deployments.list_deployments()] == [mnist]


def test_ids_are_uuids(run: Run, spec_file: str) -> None:
    """-o id prints only the id."""
    shown = run("deployments", "create", "--name", "a", "--project-id", "p1", "--spec", spec_file, "-o", "id")
    assert UUID(shown.stdout.rstrip())
