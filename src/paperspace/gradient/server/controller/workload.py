"""What the container of a spec is made from."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.spec_rules import DEFAULT_PORT, DEFAULT_PROTOCOL
from paperspace.gradient.server.controller.checks import ports_of
from paperspace.gradient.server.controller.engine import Model, Repository, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MODELS = "/opt/models"
_REPOSITORIES = "/opt/repositories"


def workload_of(spec: Mapping[str, Any], image_id: str | None = None, commits: Sequence[str] = ()) -> Workload:
    """Return what the containers of a spec are made from.

    Args:
        spec: The data of a spec.
        image_id: What pins its image. None: nothing yet.
        commits: What pins its repositories. Empty: nothing yet.
    """
    resources, repositories = spec.get("resources") or {}, spec.get("repositories") or {}
    port = DEFAULT_PORT if spec.get("port") is None else spec["port"]
    return Workload(
        image=spec["image"],
        image_id=image_id,
        port=port,
        command=tuple(spec.get("command") or ()),
        env=tuple((variable["name"], variable["value"]) for variable in spec.get("env") or ()),
        instance_type=resources.get("instanceType"),
        registry=spec.get("containerRegistry"),
        models=tuple(
            Model(model["id"], model.get("path") or f"{_MODELS}/{model['id']}") for model in spec.get("models") or ()
        ),
        check_ports=tuple(sorted(ports_of(spec) - {port})),
        repositories=tuple(
            Repository(
                name=repository["name"],
                url=repository["url"],
                ref=repository.get("ref"),
                username=repository.get("username"),
                password=repository.get("password"),
                path=f"{(repositories.get('mountPath') or _REPOSITORIES).rstrip('/')}/{repository['name']}",
            )
            for repository in repositories.get("repositories") or ()
        ),
        dataset=repositories.get("dataset"),
        commits=tuple(commits),
    )


def template_of(spec: Mapping[str, Any]) -> str:
    """Return a hash of the fields that require new containers when they change.

    The protocol is one of them: it changes how a container is probed. Health checks are not: they need a new container only for
    a port that it does not publish. What a spec does not set has no part in it, so that
    a field that a newer version supports does not change the templates of other specs.

    Args:
        spec: The data of a spec.
    """
    fields = {**workload_of(spec)._asdict(), "protocol": spec.get("protocol") or DEFAULT_PROTOCOL}
    set_fields = {name: value for name, value in fields.items() if value not in (None, (), "")}
    return hashlib.sha256(json.dumps(set_fields, sort_keys=True).encode()).hexdigest()[:16]
