"""Waiting for a deployment: what `wait` does, and what the option `--wait` does behind a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from paperspace.gradient._core.defaults import DEFAULT_WAIT
from paperspace.gradient.cli._progress import shown

if TYPE_CHECKING:
    from paperspace.gradient.deployments import Deployments
    from paperspace.gradient.types import DeploymentStatus

WAIT = click.option("--wait", is_flag=True, help="Then wait for it, as `gradient deployments wait` does.")


def wait_for(calls: Deployments, id: str, timeout: float = DEFAULT_WAIT) -> DeploymentStatus:
    """Waits until the newest spec is at work, and tells on stderr what happens meanwhile."""
    with shown() as show:
        return calls.wait_for_deployment(id, timeout=timeout, on_event=show)
