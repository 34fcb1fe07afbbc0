"""Secrets of a spec are printed and logged nowhere but where the spec is printed on purpose.

A marker stands in every field of a spec, in turn: as its value, as a value of a wrong type, and in a misspelt field
beside it. The fields come from the input type, so that new ones are tested too.
"""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import pytest
import yaml
from click.testing import CliRunner, Result
from tests.altering_proxy import altered
from tests.faults.server import Exchange, FaultServer
from typing_extensions import is_typeddict

from paperspace.gradient import (
    BadRequestError,
    Client,
    ConflictError,
    GradientError,
    InvalidSpecError,
    MalformedResponseError,
    deployments,
)
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli.main import main
from paperspace.gradient.server import LocalServer
from paperspace.gradient.types import DeploymentSpecInput

if TYPE_CHECKING:
    from tests.raw_client import Caller

MARKER = "hunter2-hunter2"

Path_ = tuple[str | int, ...]

# Every field, valid.
FULL: dict[str, Any] = {
    "image": "tensorflow/serving",
    "port": 8501,
    "command": ["serve"],
    "containerRegistry": "registry",
    "enabled": True,
    "env": [{"name": "TOKEN", "value": "1"}],
    "models": [{"id": "m1", "path": "/models/m1"}],
    "protocol": "http",
    "repositories": {
        "dataset": "d",
        "mountPath": "/code",
        "repositories": [
            {"name": "code", "url": "https://git.example/code", "ref": "main", "username": "me", "password": "p"}
        ],
    },
    "resources": {
        "instanceType": "A100",
        "replicas": 1,
        "autoscaling": {
            "enabled": True,
            "maxReplicas": 2,
            "metrics": [{"metric": "cpu", "summary": "average", "value": 80.0}],
        },
    },
    "endpointSecurity": {"protected": False, "secret": "web-password"},  # the server has no such secret
    "healthChecks": {
        "readiness": {
            "path": "/ready",
            "port": 8501,
            "host": "models.example.com",
            "headers": [{"name": "Authorization", "value": "1"}],
            "initialDelaySeconds": 1,
            "periodSeconds": 1,
            "timeoutSeconds": 1,
            "failureThreshold": 1,
        },
        "liveness": {"exec": {"command": ["check"]}, "periodSeconds": 1},
    },
}

# A check is a request or a command, and all checks have the same fields.
OTHER_CHECKS = {
    ("healthChecks", "startup"),
    ("healthChecks", "readiness", "exec"),
    *(("healthChecks", "liveness", field) for field in FULL["healthChecks"]["readiness"]),
}

# Below these fields, every value is hidden; only names of variables and repositories are shown. Elsewhere, texts and
# numbers are shown: images, commands, ports and so on are no secrets.
SECRET = {"env", "headers", "repositories"}
TEXTS = {"name", "value", "url", "ref", "username", "password", "dataset", "mountPath"}

CREDENTIALS = [
    f"https://user:{MARKER}@git.example/code",
    f"https://{MARKER}@git.example/code",
    f"https://user:a/{MARKER}@git.example/code",
    f"https://user:1/{MARKER}@git.example/code",
    f"https://git.example/code?token={MARKER}",
    f"user:{MARKER}@git.example/code",
]


def typed_dict(annotation: Any) -> Any:
    """Return the TypedDict in an annotation, whether it is optional or in a list. None: there is none."""
    if is_typeddict(annotation):
        return annotation
    return next((found for part in get_args(annotation) if (found := typed_dict(part))), None)


def fields(annotation: Any = DeploymentSpecInput, path: Path_ = ()) -> Iterator[Path_]:
    """Yield the path of every field of a spec."""
    for name, part in get_type_hints(annotation).items():
        if (*path, name) in OTHER_CHECKS:
            continue
        yield (*path, name)
        if inner := typed_dict(part):
            yield from fields(inner, (*path, name, 0) if "list[" in str(part) else (*path, name))


FIELDS = list(fields())


def with_value(path: Path_, value: Any) -> Any:
    """Return a full spec with this value."""
    spec = copy.deepcopy(FULL)
    target: Any = spec
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return spec


def wrong_values(path: Path_) -> Iterator[Any]:
    """Yield specs with the marker in values that the field cannot have, and that may hold anything."""
    for value in ({"token": MARKER}, [[MARKER]], [{"token": MARKER}], (MARKER,)):
        yield with_value(path, value)
    if not SECRET.isdisjoint(path) and path[-1] not in TEXTS:
        yield with_value(path, MARKER)


def misspelt(path: Path_) -> Iterator[Any]:
    """Yield specs with the marker in a field whose name is nearly right, and in one that nothing resembles."""
    for name in (f"{path[-1]}s", f"{path[-1]}"[:-1], str(path[-1]).upper(), "secretAccessKey"):
        for value in (MARKER, {"token": MARKER}, [{"name": "TOKEN", "value": MARKER}]):
            yield with_value((*path[:-1], name), value)


def shown_by(error: BaseException) -> str:
    """Return everything that an error shows, and what it carries."""
    problems = getattr(error, "problems", ())
    parts = [str(error), repr(error), *map(repr, problems), *map(str, problems)]
    parts += ["".join(traceback.format_exception(error)), repr(error.__context__), repr(error.__cause__)]
    return (
        "".join(parts) + repr(pickle.dumps(error)) + repr([vars(cause) for cause in (error, error.__cause__) if cause])
    )


def run(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, arguments, prog_name="gradient")


def test_fields() -> None:
    """The full spec has every field."""
    for path in FIELDS:
        value: Any = FULL
        for step in path:
            value = value[step]
        assert value is not None


@pytest.mark.parametrize("path", FIELDS, ids=lambda path: ".".join(map(str, path)))
def test_messages_of_the_client(path: Path_) -> None:
    """No message about an invalid spec shows the marker, and none carries it."""
    with Client("a-key-for-tests", "http://127.0.0.1:9/graphql") as client:
        for spec in [*wrong_values(path), *misspelt(path)]:
            for call in (
                client.deployments.create_deployment,
                client.deployments.update_deployment,
                client.deployments.apply_deployment,
                client.deployments.diff_deployment,
            ):
                with pytest.raises(InvalidSpecError) as caught:
                    call("n", "p", spec)
                assert MARKER not in shown_by(caught.value), caught.value


@pytest.mark.parametrize("path", FIELDS, ids=lambda path: ".".join(map(str, path)))
def test_messages_of_commands(path: Path_, tmp_path: Path) -> None:
    """No command shows the marker of an invalid spec file, not even with --debug."""
    file = tmp_path / "spec.yaml"
    url = ["--api-key", "a-key-for-tests", "--api-url", "http://127.0.0.1:9/graphql"]
    for number, spec in enumerate([*wrong_values(path), *misspelt(path)]):
        if any(isinstance(part, tuple) for part in _parts(spec)):
            continue  # YAML has no tuples
        file.write_text(yaml.safe_dump(spec), encoding="utf-8")
        named = ["--name", "n", "--project-id", "p", "--spec", str(file)]
        commands = [
            ["validate", str(file)],
            ["create", *named],
            ["update", *named],
            ["apply", *named],
            ["diff", *named],
        ]
        result = run("deployments", *commands[number % 5], *url, "--debug")
        assert result.exit_code == ExitCode.INVALID_SPEC
        assert MARKER not in result.output, result.output


def _parts(value: Any) -> Iterator[Any]:
    yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _parts(part)


CREATE = "mutation M($input: CreateDeploymentInput!) { createDeployment(input: $input) { deployment { id } } }"


def test_messages_of_the_server(server: LocalServer, caller: type[Caller], caplog: pytest.LogCaptureFixture) -> None:
    """The server's responses to invalid specs, and its log, do not have the marker."""
    call = caller(server)
    with caplog.at_level(logging.DEBUG):
        for path in FIELDS:
            for number, spec in enumerate([*wrong_values(path), *misspelt(path)]):
                values = {"name": f"{path} {number}", "projectId": "p", "spec": spec}
                response = call(CREATE, input=values)
                assert MARKER not in json.dumps(response.body), response.body
    assert MARKER not in caplog.text


VALUES = [
    f'["{MARKER}"]',
    f'{{a: "{MARKER}"}}',
    MARKER.replace("-", "_"),
    f'"a" "{MARKER}"',
    f'"{MARKER}',
    f"[{MARKER}",
]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("check", [True, False])
def test_messages_about_documents(server: LocalServer, value: str, check: bool) -> None:
    """Neither the client nor the server quotes a value that is written into a document."""
    spec = f'{{image: "i", env: [{{name: "A", value: {value}}}]}}'
    document = f'mutation M {{ createDeployment(input: {{name: "n", projectId: "p", spec: {spec}}}) {{ deployment {{ id }} }} }}'
    with Client(server.api_key, server.url) as client, pytest.raises(GradientError) as caught:
        client.execute(document, check=check)
    text = str(caught.value) + "".join(traceback.format_exception(caught.value))
    assert MARKER not in text.replace("_", "-")


def test_messages_about_variables(server: LocalServer) -> None:
    """Messages about variables of a custom operation do not show them."""
    variables = {
        "input": {"name": "n", "projectId": "p", "spec": {"image": "i", "env": [{"name": "A", "valu": MARKER}]}}
    }
    with Client(server.api_key, server.url) as client:
        for check in (True, False):
            with pytest.raises(GradientError) as caught:
                client.execute(CREATE, variables, check=check)
            assert MARKER not in shown_by(caught.value)


def test_server_that_repeats_the_request(server: LocalServer) -> None:
    """Secrets that another server repeats in its error are hidden."""

    def repeat(response: dict[str, Any]) -> None:
        response.clear()
        message = f'got invalid value {json.dumps(with_secrets(MARKER))} at "input.spec"'
        response["errors"] = [{"message": message, "extensions": {"code": "BAD_USER_INPUT"}}]

    with altered(server, response=repeat) as url, Client(server.api_key, url) as client:
        with pytest.raises(BadRequestError) as caught:
            client.deployments.create_deployment("n", "p", with_secrets(MARKER))
        assert MARKER not in shown_by(caught.value)
        assert "tensorflow/serving" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [f"{'x' * 1990} {MARKER}", f"{'x' * 1970} {MARKER} and {MARKER}", f"{'…' * 1988}{MARKER}"],
    ids=["once", "twice", "after ellipses"],
)
def test_server_that_repeats_a_secret_where_its_message_is_cut(server: LocalServer, text: str) -> None:
    """A long message of the server is cut. The beginning of a secret at its end is hidden."""

    def repeat(result: Any) -> None:
        result["errors"] = [{"message": text, "extensions": {"code": "BAD_USER_INPUT"}}]
        result["data"] = None

    spec: DeploymentSpecInput = {"image": "nginx", "env": [{"name": "TOKEN", "value": MARKER}]}
    with (
        altered(server, response=repeat) as url,
        Client(server.api_key, url) as client,
        pytest.raises(BadRequestError) as raised,
    ):
        client.deployments.create_deployment("cut", "p", spec)
    assert MARKER[:6] not in str(raised.value)
    assert "(hidden)…" in str(raised.value)


@pytest.mark.parametrize("length", [0, 60, 85])
def test_server_that_repeats_the_api_key_where_its_response_is_cut(length: int) -> None:
    """An error shows the beginning of a page that is no response of the API. The API key on it is hidden, wherever the page is cut."""
    key = f"{MARKER}-0123456789abcdefghijklmnopqrstuvwxyz"

    async def repeat(exchange: Exchange) -> None:
        page = f"{'x' * length} You sent {exchange.request.headers['authorization']}"
        await exchange.respond(200, page.encode(), Content_Type="text/plain")

    with FaultServer(then=repeat) as server, Client(key, server.url, max_retries=0) as client:
        with pytest.raises(MalformedResponseError) as caught:
            client.deployments.list_deployments()
        assert "Bearer (hidden)" in str(caught.value)
        assert key[:6] not in shown_by(caught.value)


def test_responses_that_do_not_match(server: LocalServer) -> None:
    """A response with a spec that does not match the schema is not quoted."""

    def break_env(response: dict[str, Any]) -> None:
        for node in response["data"]["deployment"]["deploymentSpecs"]["nodes"]:
            node["data"]["env"][0] = {"value": MARKER}

    with Client(server.api_key, server.url) as client:
        created = client.deployments.create_deployment("n", "p", with_secrets(MARKER))
    with altered(server, response=break_env) as url, Client(server.api_key, url) as client:
        with pytest.raises(
            MalformedResponseError, match=r"env\.0\.name: Field required, got a value of type dict"
        ) as caught:
            client.deployments.get_deployment_history(created["id"])
        assert MARKER not in shown_by(caught.value)


def with_secrets(marker: str) -> dict[str, Any]:
    """Return a valid spec with secrets everywhere."""
    spec = copy.deepcopy(FULL)
    spec["env"] = [{"name": name, "value": f"{marker}-{name}"} for name in ("TOKEN", "A.name", "name", "password")]
    repositories = [
        {
            "name": f"r{number}",
            "url": url.replace(MARKER, marker),
            "username": f"{marker}-u",
            "password": f"{marker}-secret",
        }
        for number, url in enumerate(CREDENTIALS)
    ]
    spec["repositories"]["repositories"] = repositories
    spec["command"] = ["serve", f"--db=postgres://user:{marker}@db.example/x"]
    spec["healthChecks"]["readiness"]["headers"] = [
        {"name": name, "value": f"Bearer {marker}"} for name in ("Authorization", "X.name", "value")
    ]
    return spec


def test_functions(server: LocalServer, caplog: pytest.LogCaptureFixture) -> None:
    """Neither differences nor errors nor any log have a secret, and every change of a secret is a change."""
    before, after = with_secrets(MARKER), with_secrets(f"{MARKER}-2")
    texts: list[str] = []
    with caplog.at_level(logging.DEBUG), Client(server.api_key, server.url) as client:
        functions = client.deployments
        texts.append(repr(functions.apply_deployment("n", "p", before)))
        difference = functions.diff_deployment("n", "p", after)
        texts.append(repr(difference))
        applied = functions.apply_deployment("n", "p", after)
        texts += [repr(applied), repr(functions.list_deployments()), repr(functions.get_deployment(applied["id"]))]
        with pytest.raises(ConflictError) as caught:
            functions.create_deployment("n", "p", after)
        texts.append(shown_by(caught.value))
        texts.append(repr(functions.wait_for_deployment(applied["id"], timeout=30)))
        history = functions.get_deployment_history(applied["id"])
        texts += [repr(revision["difference"]) for revision in history]
        assert history[0]["data"]["env"][0]["value"] == f"{MARKER}-2-TOKEN"  # type: ignore[index]
    lines = difference["text"].splitlines()
    assert "~ env.TOKEN: (hidden), changed" in lines
    assert "~ repositories.repositories.r0.url: 'https://(hidden)@git.example/code', changed" in lines
    headers = before["healthChecks"]["readiness"]["headers"]
    assert len(lines) == len(before["env"]) + len(headers) + 3 * len(CREDENTIALS) + 1
    assert MARKER not in "".join(texts) + caplog.text
    assert "paperspace.gradient" in {record.name for record in caplog.records}


@pytest.mark.usefixtures("environment")
def test_commands(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No command but `get` prints a secret; --show-secrets shows values of environment variables, no passwords."""
    files = []
    for number, marker in enumerate((MARKER, f"{MARKER}-2")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml.safe_dump(with_secrets(marker)), encoding="utf-8")
        files.append(["--name", "n", "--project-id", "p", "--spec", str(path)])
    with caplog.at_level(logging.DEBUG):
        results = [run("deployments", "create", *files[0])]
        [deployment] = deployments.list_deployments()
        id_ = deployment["id"]
        for output in ([], ["-o", "json"], ["-o", "yaml"]):
            results += [run("deployments", "diff", *files[1], *output)]
            results += [run("deployments", "apply", *files[1], *output, "--dry-run")]
        results += [run("deployments", "apply", *files[1]), run("deployments", "validate", files[0][-1])]
        results += [
            run("deployments", "update", "--id", id_, *files[0][-2:]),
            run("deployments", "scale", id_, "--replicas", "1"),
        ]
        for output in ([], ["-o", "json"], ["-o", "yaml"]):
            results += [run("deployments", name, id_, *output) for name in ("history", "wait")]
            results += [run("deployments", "list", *output)]
        assert {result.exit_code for result in results} == {0}, [r.output for r in results if r.exit_code]
        failed = run("deployments", "create", *files[0], "--debug")
    assert failed.exit_code == 1
    assert MARKER not in "".join(result.output for result in [*results, failed]) + caplog.text
    shown = [run("deployments", "history", id_, "--show-secrets", *output) for output in ([], ["-o", "json"])]
    shown += [run("deployments", "diff", *files[1], "--show-secrets")]
    for result in shown:
        assert f"{MARKER}-2-TOKEN" in result.output
        assert "-secret" not in result.output
        assert f":{MARKER}" not in result.output
