"""The fields of older spec files: each is converted to a field of today, or a problem says why that would lose something."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.problems import Problem, hide, hide_unless_plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from paperspace.gradient._spec.parsers import Positions

# The values of `apiVersion`. They make no difference.
_API_VERSION = re.compile(r"latest|v[0-9]+((alpha|beta)[0-9]+)?")

# The fields of an integration, as those of a repository.
_REPOSITORY = {"accessKeyId": "username", "secretAccessKey": "password"}
_SECRET = "secret:"  # noqa: S105  # what a reference to a secret starts with


def convert_old_fields(content: dict[Any, Any], positions: Positions) -> Iterator[Problem]:
    """Convert the fields in place. Yield what cannot be converted without loss."""
    yield from _drop_version(content)
    resources = content.get("resources")
    resources = resources if isinstance(resources, dict) else {}
    if "machineType" in resources and "instanceType" not in resources:
        resources["instanceType"] = resources.pop("machineType")
        positions.move(("resources", "machineType"), ("resources", "instanceType"))
    yield from _convert_ports(content, resources, positions)
    yield from _convert_integrations(content, positions)
    yield from _convert_password(content, positions)


def _drop_version(content: dict[Any, Any]) -> Iterator[Problem]:
    version = content.pop("apiVersion", None)
    if version is not None and not (isinstance(version, str) and _API_VERSION.fullmatch(version)):
        expected = "no value, or a version such as latest, v1 or v1alpha2"
        yield Problem(("spec", "apiVersion"), hide(version), expected, "remove the field")


def _convert_ports(content: dict[Any, Any], resources: dict[Any, Any], positions: Positions) -> Iterator[Problem]:
    for parent, path in ((content, ("ports",)), (resources, ("resources", "ports"))):
        ports = parent.pop("ports", None)
        if ports is None or ports == []:
            continue
        numbers = ports if isinstance(ports, list) else [ports]
        if len(numbers) == 1 and content.get("port") in (None, numbers[0]):
            content["port"] = numbers[0]
            positions.move((*path, 0) if isinstance(ports, list) else path, ("port",))
        else:
            shown = ports if all(isinstance(port, int) for port in numbers) else hide(ports)
            yield Problem(("spec", *path), shown, "one port", "keep one, and write it as `port`")


def _convert_integrations(content: dict[Any, Any], positions: Positions) -> Iterator[Problem]:
    """Make repositories of the integrations with the type git-lfs. Both put the files into the folder `name` of a path."""
    integrations = content.get("integrations")
    if integrations is None:
        integrations = []
    if not isinstance(integrations, list) or not all(isinstance(entry, dict) for entry in integrations):
        return  # the validation reports the field
    content.pop("integrations", None)
    if not integrations:
        return
    if content.get("repositories") is not None:
        hint = "a spec has one list; move the integrations to `repositories`"
        yield Problem(("spec", "integrations"), hide(integrations), "no `repositories` next to it", hint)
        return
    problems = list(_integration_problems(integrations))
    if problems:
        yield from problems
        return
    positions.move(("integrations", 0, "path"), ("repositories", "mountPath"))
    for index, entry in enumerate(integrations):
        new = ("repositories", "repositories", index)
        positions.move(("integrations", index), new)
        for key in entry:
            positions.move(("integrations", index, key), (*new, _repository_field(key)))
    repositories = [
        {_repository_field(key): value for key, value in entry.items() if key not in ("type", "path")}
        for entry in integrations
    ]
    content["repositories"] = {"mountPath": integrations[0]["path"], "repositories": repositories}


def _repository_field(key: Any) -> Any:
    """Return the field of a repository for a field of an integration."""
    return _REPOSITORY.get(key, key)


def _integration_problems(integrations: Sequence[Mapping[Any, Any]]) -> Iterator[Problem]:
    first = integrations[0].get("path")
    for index, entry in enumerate(integrations):
        path = ("spec", "integrations", index)
        kind, folder = entry.get("type"), entry.get("path")
        if kind != "git-lfs":
            hint = "for files from elsewhere, use `models`, or copy them into the image"
            yield Problem((*path, "type"), hide_unless_plain(kind), "git-lfs", hint)
        elif folder is None:
            yield Problem((*path, "path"), None, "the folder of the integration", kind="missing")
        elif folder != first:
            hint = "all repositories have one `mountPath`"
            yield Problem((*path, "path"), hide_unless_plain(folder), "the path of the first integration", hint)
        for old, new in _REPOSITORY.items():
            if old in entry and new in entry:
                yield Problem(
                    (*path, old), hide(entry[old]), f"no `{new}` next to it", "both mean the same; remove one"
                )


def _convert_password(content: dict[Any, Any], positions: Positions) -> Iterator[Problem]:
    """Make `endpointSecurity` of `basicAuthKey`, a reference to the secret with the password."""
    key = content.get("basicAuthKey")
    if key is not None and content.get("endpointSecurity") is not None:
        return  # the validation reports the field
    content.pop("basicAuthKey", None)
    if key is None:
        return
    if isinstance(key, str) and key.startswith(_SECRET):
        content["endpointSecurity"] = {"protected": True, "secret": key.removeprefix(_SECRET)}
        positions.move(("basicAuthKey",), ("endpointSecurity", "secret"))
    else:
        yield Problem(("spec", "basicAuthKey"), hide(key), "a secret with the password, such as secret:NAME")
