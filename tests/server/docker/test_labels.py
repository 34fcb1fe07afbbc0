"""What a newer version of the server must keep, to adopt the containers that an older one has started."""

from __future__ import annotations

from paperspace.gradient.server.controller.engine import ContainerKey
from paperspace.gradient.server.controller.workload import template_of, workload_of
from paperspace.gradient.server.docker.containers import container_config, container_name, key_of
from paperspace.gradient.server.docker.instance_types import InstanceType
from paperspace.gradient.server.docker.requirements import Needs

SPEC = {
    "image": "team/app:1.0",
    "port": 8080,
    "command": ["python", "serve.py"],
    "env": [{"name": "A", "value": "1"}],
    "protocol": "http2",
    "containerRegistry": "mine",
    "resources": {"replicas": 2, "instanceType": "C4"},
}
KEY = ContainerKey("deployment", "instance", 3, template_of(SPEC))


def test_template() -> None:
    """The template of a spec never changes: with another one, an upgrade would replace all containers."""
    assert template_of(SPEC) == "4de7d3ba0ec646ae"
    assert template_of({"image": "i"}) == "a9b4e2ce16a6b825"


def test_labels_and_name() -> None:
    """The labels and the name of a container never change: without them, the server would not find it."""
    config = container_config("server", KEY, workload_of(SPEC), Needs([], [], InstanceType(), ()), 21000)
    assert config["Labels"] == {
        "gradient.server": "server",
        "gradient.deployment": "deployment",
        "gradient.instance": "instance",
        "gradient.attempt": "3",
        "gradient.template": KEY.template,
        "gradient.port": "21000",
    }
    assert key_of("server", {"Config": config, "HostConfig": config["HostConfig"]}) == KEY
    assert container_name(KEY) == "gradient-instance-3"
