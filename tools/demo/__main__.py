"""Run the demo: `scripts/demo`."""

from __future__ import annotations

from tools.demo.container import show_container
from tools.demo.server import running_server
from tools.demo.steps import Step, show_all


def main() -> None:
    """Run all steps."""
    with running_server("--database", ":memory:", "--engine", "simulated") as lines:
        print(*lines, "", sep="\n")
        show_all(STEPS)
    show_container()
    print("The demo is complete, and its servers are stopped. Start your own with: .venv/bin/gradient server")


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
