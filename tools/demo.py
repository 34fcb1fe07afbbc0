"""The documented calls, one after the other, as a user would type them, with what comes back.

The server is the real one, started as a user would start it, on a free port, with a database in memory.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

WIDTH = 100


@contextmanager
def running_server() -> Iterator[list[str]]:
    """A local server in a process of its own; gives the lines that it prints."""
    command = ["gradient", "server", "--port", "0", "--database", ":memory:"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None  # noqa: S101  # it is a pipe
        try:
            yield [server.stdout.readline().rstrip() for _ in range(3)]
        finally:
            server.terminate()


def use(exports: list[str]) -> None:
    """Does what the shell would do with the `export` lines."""
    for line in exports:
        for setting in line.removeprefix("export ").split():
            name, _, value = setting.partition("=")
            os.environ[name] = value


class Step(NamedTuple):
    """Something to type, and the error that it is to raise, if any."""

    code: str
    raises: str | None = None


def show(step: Step, names: dict[str, object]) -> None:
    """Prints the code as typed, runs it, and prints what it gives, or the error that it raises.

    Raises:
        SystemExit: It does not raise what it should, or raises what it should not.
    """
    print(">>> " + step.code.replace("\n", "\n... "))
    raised = None
    try:
        statement = ast.parse(step.code).body[0]
        if isinstance(statement, ast.Expr):
            print(readable(eval(step.code, names)))  # noqa: S307  # our own code, from below
        else:
            exec(step.code, names)  # noqa: S102
    except Exception as error:  # noqa: BLE001  # to be shown, as the interpreter would
        raised = type(error).__name__
        print(f"{type(error).__module__}.{raised}: {error}")
    print()
    if raised != step.raises:
        sys.exit(f"The demo expected {step.raises or 'no error'} there.")


def readable(value: object, indent: str = "") -> str:
    """The value as Python writes it, on several lines where one is too short."""
    text = repr(value)
    if len(indent + text) <= WIDTH or not isinstance(value, dict | list) or not value:
        return text
    inner = indent + "  "
    if isinstance(value, list):
        items, (left, right) = [readable(item, inner) for item in value], "[]"
    else:
        items, (left, right) = [f"{key!r}: {readable(item, inner)}" for key, item in value.items()], "{}"
    return f",\n{inner}".join(items).join([f"{left}\n{inner}", f",\n{indent}{right}"])


def main() -> None:
    """Runs the walk."""
    with running_server() as (listening, *exports):
        print(listening, *exports, "", sep="\n")
        use(exports)
        names: dict[str, object] = {}
        for heading, steps in WALK.items():
            print(f"# {heading}")
            for step in steps:
                show(step, names)
    print("That was all of it. The server is stopped; `gradient server` starts one for you.")


WALK = {
    "The documented example of a spec.": [
        Step("from paperspace.gradient import deployments"),
        Step("""spec = {
    'image': 'tensorflow/serving',
    'port': 8501,
    'resources': {'instanceType': 'A100', 'replicas': 1},
}"""),
    ],
    "Create a deployment.": [
        Step("""deployment = deployments.create_deployment(
    name='Test Deployment',
    project_id='my-project',
    spec=spec,
)"""),
        Step("deployment"),
    ],
    "List deployments: by name, by project, by cluster, or so many of all.": [
        Step("deployments.list_deployments(name='Test Deployment')"),
        Step("[found['name'] for found in deployments.list_deployments(project_id='my-project')]"),
        Step("[found['name'] for found in deployments.list_deployments(cluster_id='local')]"),
        Step("deployments.list_deployments(cluster_id='another-cluster')"),
        Step("[found['name'] for found in deployments.list_deployments(first=10)]"),
    ],
    "Get one.": [Step("deployments.get_deployment(id=deployment['id'])")],
    "Update it to two replicas: it has two specs then, the newest first.": [
        Step("spec['resources']['replicas'] = 2"),
        Step("""deployments.update_deployment(
    name='Test Deployment',
    project_id='my-project',
    spec=spec,
)"""),
        Step("deployments.get_deployment(id=deployment['id'])"),
    ],
    "A name that is taken, and a spec with a mistake, are refused.": [
        Step("deployments.create_deployment('Test Deployment', 'my-project', spec)", raises="ConflictError"),
        Step(
            "deployments.create_deployment('Another', 'my-project', {'image': 'nginx', 'prot': 8501})",
            raises="InvalidSpecError",
        ),
    ],
    "Delete it. Then it is gone.": [
        Step("deployments.delete_deployment(id=deployment['id'])"),
        Step("deployments.get_deployment(id=deployment['id'])", raises="NotFoundError"),
    ],
}

if __name__ == "__main__":
    main()
