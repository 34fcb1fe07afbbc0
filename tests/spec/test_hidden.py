"""The mark of a hidden secret is refused in a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.deployments.test_changes import FULL

from paperspace.gradient import Client, InvalidSpecError
from paperspace.gradient._shared.secrets import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = {"name": "code", "url": "https://git.example/code"}


def repositories(**changes: Any) -> dict[str, Any]:
    """The field `repositories`, with changes in its only repository."""
    return {"repositories": {"repositories": [{**REPOSITORY, **changes}]}}


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"image": HIDDEN}, "spec.image"),
        ({"command": ["serve", HIDDEN]}, "spec.command[1]"),
        ({"env": [{"name": "TOKEN", "value": HIDDEN}]}, "spec.env[0].value"),
        (repositories(password=HIDDEN), "spec.repositories.repositories[0].password"),
        (repositories(username=HIDDEN), "spec.repositories.repositories[0].username"),
        (repositories(url=f"https://{HIDDEN}@git.example/code"), "spec.repositories.repositories[0].url"),
        (repositories(url=f"https://git.example/code?token={HIDDEN}"), "spec.repositories.repositories[0].url"),
        ({"image": f"https://{HIDDEN}@registry.example/x"}, "spec.image"),
        ({"resources": {"instanceType": HIDDEN}}, "spec.resources.instanceType"),
    ],
)
def test_refused(client: Client, wire: list[dict[str, Any]], changes: dict[str, Any], path: str) -> None:
    """A hidden value is refused in every field before anything is sent; the message says where the value is shown."""
    spec = {**FULL, **changes}
    deployments = client.deployments
    calls: list[Callable[[], object]] = [
        lambda: deployments.create_deployment("n", "p", spec),
        lambda: deployments.update_deployment("n", "p", spec),
        lambda: deployments.apply_deployment("n", "p", spec),
    ]
    for call in calls:
        with pytest.raises(InvalidSpecError, match="get_deployment_spec") as caught:
            call()
        assert [problem.field for problem in caught.value.problems] == [path]
    assert wire == []


def test_other_texts(client: Client) -> None:
    """A text that only contains the mark is no hidden value, except in the URL of a repository."""
    variables = [{"name": "NOTE", "value": f"values are {HIDDEN} here"}]
    client.deployments.create_deployment("n", "p", {**FULL, "env": variables, "command": ["echo", f"a{HIDDEN}b"]})
