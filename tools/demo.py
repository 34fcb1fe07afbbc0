"""The demo: the documented calls, one by one, as a user would type them, with their results.

They run against a local server, on a free port, with a database in memory.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

WIDTH = 100


@contextmanager
def running_server() -> Iterator[list[str]]:
    """Run a local server in a separate process, and yield the lines that it prints.

    Raises:
        SystemExit: The server does not start.
    """
    command = ["gradient", "server", "--port", "0", "--database", ":memory:"]
    with (
        tempfile.TemporaryFile("w+") as log,  # the log would be mixed with the output of the demo
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as server,
    ):
        assert server.stdout is not None  # noqa: S101  # it is a pipe
        lines = [server.stdout.readline().rstrip() for _ in range(4)]
        if not lines[0]:
            server.wait()
            log.seek(0)
            sys.exit(f"The server did not start.\n{log.read()}")
        try:
            yield lines
        finally:
            server.terminate()


def use(exports: list[str]) -> None:
    """Set the environment variables that the `export` lines set."""
    for line in exports:
        for setting in line.removeprefix("export ").split():
            name, _, value = setting.partition("=")
            os.environ[name] = value


class Step(NamedTuple):
    """Code to run, and the error that it must raise, if any."""

    code: str
    raises: str | None = None


def show(step: Step, names: dict[str, object]) -> None:
    """Print the code, run it, and print its result or its error.

    Raises:
        SystemExit: The code does not raise the expected error, or raises another one.
    """
    print(">>> " + step.code.replace("\n", "\n... "))
    raised = None
    try:
        statement = ast.parse(step.code).body[0]
        if isinstance(statement, ast.Expr):
            print(readable(eval(step.code, names)))  # noqa: S307  # the code is in this file
        else:
            exec(step.code, names)  # noqa: S102
    except Exception as error:  # noqa: BLE001  # any error is shown, as the interpreter shows it
        raised = type(error).__name__
        print(f"{type(error).__module__}.{raised}: {error}")
    print()
    if raised != step.raises:
        sys.exit(f"The demo expected {step.raises or 'no error'} here.")


def readable(value: object, indent: str = "") -> str:
    """Format the value as repr() does, on several lines if one is too short."""
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
    """Run all steps."""
    with running_server() as (engine, listening, *exports):
        print(engine, listening, *exports, "", sep="\n")
        use(exports)
        names: dict[str, object] = {}
        for heading, steps in STEPS.items():
            print(f"# {heading}")
            for step in steps:
                show(step, names)
    print("The demo is complete, and its server is stopped. Start your own with: .venv/bin/gradient server")


STEPS = {
    "A spec, as the documentation shows it.": [
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
    "List deployments: by name, by project, by cluster, or the first 10.": [
        Step("deployments.list_deployments(name='Test Deployment')"),
        Step("[deployment['name'] for deployment in deployments.list_deployments(project_id='my-project')]"),
        Step("[deployment['name'] for deployment in deployments.list_deployments(cluster_id='local')]"),
        Step("deployments.list_deployments(cluster_id='another-cluster')"),
        Step("[deployment['name'] for deployment in deployments.list_deployments(first=10)]"),
    ],
    "Get a deployment.": [Step("deployments.get_deployment(id=deployment['id'])")],
    "Update it to two replicas. It then has two specs, the newest first.": [
        Step("spec['resources']['replicas'] = 2"),
        Step("""deployments.update_deployment(
    name='Test Deployment',
    project_id='my-project',
    spec=spec,
)"""),
        Step("deployments.get_deployment(id=deployment['id'])"),
    ],
    "Errors: the name is taken; the spec has an unknown field.": [
        Step("deployments.create_deployment('Test Deployment', 'my-project', spec)", raises="ConflictError"),
        Step(
            "deployments.create_deployment('Another', 'my-project', {'image': 'nginx', 'prot': 8501})",
            raises="InvalidSpecError",
        ),
    ],
    "Delete it. Then it is not found.": [
        Step("deployments.delete_deployment(id=deployment['id'])"),
        Step("deployments.get_deployment(id=deployment['id'])", raises="NotFoundError"),
    ],
}

if __name__ == "__main__":
    main()
