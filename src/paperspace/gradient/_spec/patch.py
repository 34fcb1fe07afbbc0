"""Change single fields of a spec, and keep the rest."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple

from paperspace.gradient._shared.problems import Path, Problem, abbreviate, hide
from paperspace.gradient._spec.checks import check_spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# The argument that sets each field of a spec.
_ARGUMENTS: dict[Path, str] = {
    ("image",): "image",
    ("command",): "command",
    ("resources", "replicas"): "replicas",
    ("resources", "instanceType"): "instance_type",
}


class Patch(NamedTuple):
    """The changes of `patch_deployment`. None: no change."""

    image: str | None = None
    env: Mapping[str, str] | None = None
    unset_env: Iterable[str] | None = None
    replicas: int | None = None
    instance_type: str | None = None
    command: Sequence[str] | None = None

    def is_empty(self) -> bool:
        """Return whether nothing is to be changed."""
        return all(value is None for value in self)

    def copied(self) -> Patch:
        """Return a copy: a later change by the owner of an argument is not sent."""
        return self._replace(
            env=dict(self.env) if isinstance(self.env, Mapping) else self.env,
            unset_env=copy(self.unset_env) if isinstance(self.unset_env, list | set) else self.unset_env,
            command=copy(self.command) if isinstance(self.command, list) else self.command,
        )

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of the arguments."""
        if self.env is not None and not isinstance(self.env, Mapping):
            yield Problem(("env",), hide(self.env), "a dict")
            return
        names = list(self.env or ())
        for problem in check_spec(self._as_spec()):
            yield problem._replace(path=_argument_path(problem.path[1:], names))
        if self.instance_type == "":
            yield Problem(("instance_type",), "", "a non-empty string")
        if self.unset_env is None:
            return
        if not isinstance(self.unset_env, list | tuple | set | frozenset):
            yield Problem(("unset_env",), hide(self.unset_env), "a list of names")
            return
        for name in self.unset_env:
            if not isinstance(name, str):
                yield Problem(("unset_env",), abbreviate(name), "the name of an environment variable")
            elif name in names:
                yield Problem(
                    ("unset_env",),
                    name,
                    "a name that `env` does not set",
                    "pass each name in `env` or in `unset_env`, not in both",
                )

    def change(self, spec: dict[str, Any]) -> None:
        """Change a spec in place. Its variables keep their order; new ones are added at the end."""
        if self.image is not None:
            spec["image"] = self.image
        if self.command is not None:
            _set(spec, "command", list(self.command))
        if self.env is not None or self.unset_env is not None:
            removed = set(self.unset_env or ())
            values = {entry["name"]: entry["value"] for entry in spec.get("env") or () if entry["name"] not in removed}
            values |= self.env or {}
            _set(spec, "env", [{"name": name, "value": value} for name, value in values.items()])
        resources = {"replicas": self.replicas, "instanceType": self.instance_type}
        resources = {field: value for field, value in resources.items() if value is not None}
        if resources:
            spec["resources"] = {**(spec.get("resources") or {}), **resources}

    def _as_spec(self) -> dict[str, Any]:
        """Return a spec that has the new values, for the same rules as those of a spec."""
        spec: dict[str, Any] = {"image": "unchanged" if self.image is None else self.image}
        if self.command is not None:
            spec["command"] = self.command
        if self.env is not None:
            spec["env"] = [{"name": name, "value": value} for name, value in self.env.items()]
        spec["resources"] = {"replicas": self.replicas, "instanceType": self.instance_type}
        return spec


def _set(spec: dict[str, Any], field: str, value: list[Any]) -> None:
    """Set a list; an empty one removes the field."""
    if value:
        spec[field] = value
    else:
        spec.pop(field, None)


def _argument_path(path: Path, names: list[Any]) -> Path:
    """Return the path in the arguments, for a path in the spec."""
    if path[0] == "env":
        if path[-1] == "name":
            return ("env",)
        return ("env", str(abbreviate(names[int(path[1])]))) if len(path) > 1 else path
    for field, argument in _ARGUMENTS.items():
        if path[: len(field)] == field:
            return (argument, *path[len(field) :])
    return path
