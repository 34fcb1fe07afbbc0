"""Spec files as users wrote them: each is accepted, or refused with a message that says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from paperspace.gradient import InvalidSpecError
from paperspace.gradient._spec.files import read_file

CASES = Path(__file__).parent / "cases"

NO_VOLUMES = "unknown field (use `models` and `repositories`, or copy the files into the image)"

# The name that the file sets, and its spec.
ACCEPTED: dict[str, tuple[str | None, dict[str, Any]]] = {
    "autoscaling_off.yaml": (
        None,
        {"image": "example/x", "resources": {"replicas": 1, "autoscaling": {"enabled": False}}},
    ),
    "integrations.yaml": (
        None,
        {
            "image": "example/x",
            "repositories": {
                "mountPath": "/models/",
                "repositories": [
                    {"name": "first", "url": "https://git.example.com/first"},
                    {
                        "name": "second",
                        "url": "https://git.example.com/second",
                        "username": "ada",
                        "password": "secret:token",
                    },
                ],
            },
            "endpointSecurity": {"protected": True, "secret": "web-password"},
        },
    ),
    "integrations_empty.yaml": (None, {"image": "example/x"}),
    "name.yaml": ("my-app", {"image": "example/x", "port": 8000}),
    "s01_min.yaml": (
        None,
        {
            "enabled": True,
            "image": "example/streamlit",
            "port": 8051,
            "resources": {"replicas": 1, "instanceType": "C4"},
        },
    ),
    "s02_hf_full.yaml": (
        "hf-app",
        {
            "enabled": True,
            "image": "example/hf:1",
            "port": 8000,
            "repositories": {
                "mountPath": "/opt/integrations/translator",
                "repositories": [{"name": "translator", "url": "https://models.example.com/translator"}],
            },
            "healthChecks": {check: {"path": "/", "port": 8000} for check in ("startup", "readiness", "liveness")},
            "resources": {
                "replicas": 1,
                "instanceType": "A4000",
                "autoscaling": {
                    "enabled": True,
                    "maxReplicas": 2,
                    "metrics": [
                        {"metric": "requestDuration", "summary": "average", "value": 1.2},
                        {"metric": "cpu", "summary": "average", "value": 75},
                    ],
                },
            },
        },
    ),
    "s03_ports_scalar.yaml": (
        "trash-app",
        {
            "enabled": True,
            "image": "example/trash",
            "port": 8000,
            "resources": {
                "instanceType": "C4",
                "replicas": 1,
                "autoscaling": {
                    "enabled": True,
                    "maxReplicas": 2,
                    "metrics": [{"metric": "cpu", "summary": "average", "value": 75}],
                },
            },
        },
    ),
    "s04_as_off.yaml": (
        "engine",
        {
            "enabled": True,
            "image": "example/engine:1",
            "port": 8000,
            "resources": {"replicas": 1, "instanceType": "C5", "autoscaling": {"enabled": False}},
        },
    ),
    "s09_cmd_flags.yaml": (
        None,
        {
            "image": "example/webui:v1.1",
            "port": 7860,
            "command": ["python", "launch.py", "--listen", "--port", "7860"],
            "resources": {"replicas": 1, "instanceType": "A4000"},
        },
    ),
    "s12_schema.json": (
        "hello",
        {"image": "example/hello", "enabled": True, "resources": {"instanceType": "C4"}},
    ),
    "s13_schema.jsonc": (
        "webui",
        {
            "image": "example/webui:v1",
            "command": ["python", "webui.py", "'--share'"],
            "resources": {"instanceType": "P4000", "replicas": 1},
        },
    ),
    "s16_model_repo.yaml": (
        None,
        {
            "image": "example/pytorch:1",
            "port": 8501,
            "command": ["/bin/sh", "-c", "cd /opt/repos/repo\nexec ./serve\n"],
            "models": [{"id": "mo00000", "path": "/opt/models"}],
            "repositories": {
                "dataset": "ds00000",
                "mountPath": "/opt/repos",
                "repositories": [
                    {
                        "url": "https://git.example.com/team/net",
                        "name": "repo",
                        "ref": "main",
                        "username": "robot",
                        "password": "SECRET:git-token",
                    }
                ],
            },
            "resources": {"replicas": 1, "instanceType": "C4"},
        },
    ),
    "s17_repo_nodataset.yaml": (
        None,
        {
            "image": "example/x",
            "repositories": {
                "mountPath": "/opt/repos",
                "repositories": [{"url": "https://git.example.com/a/b.git", "name": "b"}],
            },
        },
    ),
    "s19_envlong.yaml": (
        None,
        {
            "enabled": True,
            "image": "example/ssf:latest",
            "containerRegistry": "team-reg",
            "port": 8100,
            "env": [
                {"name": "OPTS", "value": "--config gradient-model:mo1|config.yml --key API_TOKEN run"},
                {"name": "API_TOKEN", "value": "secret:Tok"},
            ],
            "resources": {"replicas": 1, "instanceType": "IPU-POD4"},
        },
    ),
    "schema_key.json": (None, {"image": "example/x"}),
}

# The lines of the message, without the name of the file.
REFUSED = {
    "integrations_and_repositories.yaml": [
        (
            "3:3: integrations: expected no `repositories` next to it, got a value of type list "
            "(a spec has one list; move the integrations to `repositories`)"
        ),
        "5:1: basicAuthKey: unknown field (use `endpointSecurity`, with `protected: true` and the name of the secret)",
    ],
    "integrations_elsewhere.yaml": [
        "4:41: integrations[1].path: expected the path of the first integration, got '/other' (all repositories have one `mountPath`)",
        "5:5: integrations[2].path: missing; expected the folder of the integration",
        "6:15: basicAuthKey: expected a secret with the password, such as secret:NAME, got a value of type str",
    ],
    "integrations_twice.yaml": [
        (
            "3:100: integrations[0].accessKeyId: expected no `username` next to it, got a value of type str "
            "(both mean the same; remove one)"
        ),
        (
            "4:106: integrations[1].secretAccessKey: expected no `password` next to it, got a value of type str "
            "(both mean the same; remove one)"
        ),
    ],
    "integrations_typos.yaml": [
        "3:5: repositories.repositories[0].url: missing; expected a string",
        "3:27: repositories.repositories[0].name: expected a string, got a value of type int (quote it)",
        "3:36: repositories.mountPath: expected a string, got a value of type int (quote it)",
        "3:39: repositories.repositories[0].uri: unknown field (did you mean 'url'?)",
    ],
    "s06_placeholder.yaml": [
        "4:8: image: expected an image, got ':image' (:image is a placeholder; pass the image: --image, or image= in Python)"
    ],
    "s07_portstr.yaml": [
        "3:7: image: missing; expected a container image such as 'tensorflow/serving'",
        "4:7: port: expected an integer, got '7860' (write 7860, without quotes)",
    ],
    "s10_region.yaml": [
        "4:1: region: unknown field (pass the id of a cluster in the region: --cluster-id, or cluster_id= in Python)"
    ],
    "s15_junk.json": ["1:77: invalid JSON: expected a value; strings need double quotes"],
    "s20_echo_backslash.yml": [
        (
            r"5:11: invalid YAML: lines end with the two characters \n, not with line breaks; write the file with "
            "`printf`, not `echo`"
        )
    ],
    "s21_metrics_gpu.yaml": [
        "6:5: resources.autoscaling.minReplicas: unknown field (use `resources.replicas`: autoscaling keeps at least this many)",
        "9:18: resources.autoscaling.metrics[0].metric: expected one of cpu, memory, requestDuration, got 'gpu'",
        "10:48: resources.autoscaling.metrics[1].value: expected a number, got '70' (write 70, without quotes)",
    ],
    "s22_env_map.yaml": [
        '3:3: env: expected a list, got a value of type dict (write a list: [{name: NAME, value: "VALUE"}])'
    ],
    "s23_env_int.yaml": [
        "4:12: env[0].value: expected a string, got a value of type int (quote it)",
        "6:12: env[1].value: expected a string, got a value of type bool (quote it)",
    ],
    "s24_cmd_str.yaml": [
        (
            "2:10: command: expected a list, got 'python app.py --port 80' "
            '(write a list: ["python", "app.py"], or ["sh", "-c", "python app.py"] for a shell)'
        )
    ],
    "s25_cmd_num.yaml": ["2:25: command[2]: expected a string, got 4 (quote it)"],
    "s26_volumes.yaml": [f"2:1: volumes: {NO_VOLUMES}"],
    "s27_docker_ports.yaml": [
        "2:9: port: expected an integer, got '8000:80' (write the port of the container only: 80)"
    ],
    "s28_octal.yaml": ["2:7: port: expected an integer, got '08080' (write 8080, without a leading zero or quotes)"],
    "secret_in_message.yaml": [
        "2:1: apiKey: unknown field (remove the API key from the spec, and set PAPERSPACE_API_KEY)",
        (
            "4:76: integrations[0].type: expected git-lfs, got 's3' (for files from elsewhere, use `models`, or copy them into "
            "the image)"
        ),
        "5:1: envs: unknown field (did you mean 'env'?)",
        "7:1: environment: unknown field (use `env`, a list of `name` and `value`)",
    ],
}


def test_every_case() -> None:
    """Each file in the folder is in one of the two tables."""
    assert sorted(path.name for path in CASES.iterdir()) == sorted([*ACCEPTED, *REFUSED])


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str) -> None:
    """The file has this name and spec, and the spec is valid."""
    file = read_file(CASES / name)
    assert (file.name, file.validate()) == ACCEPTED[name]


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message lists every problem with its position, and what to do about it."""
    monkeypatch.chdir(CASES)
    with pytest.raises(InvalidSpecError) as caught:
        read_file(name).validate()
    lines = str(caught.value).splitlines()
    assert [line.removeprefix(f"{name}:") for line in lines if line != f"invalid spec file {name}:"] == REFUSED[name]


def test_placeholder_with_an_image() -> None:
    """The image of the caller replaces the placeholder; health checks and metrics are as in the file."""
    spec = read_file(CASES / "s06_placeholder.yaml", image="example/x").validate()
    assert (spec["image"], spec["healthChecks"]) == ("example/x", {"readiness": {"path": "/"}})
