"""The functions of Gradient Deployments: create, update, delete, list and get them.

    >>> from paperspace.gradient import deployments
    >>> spec = {"image": "tensorflow/serving", "port": 8501, "resources": {"instanceType": "A100", "replicas": 1}}
    >>> created = deployments.create_deployment(name="docs", project_id="p1", spec=spec)
    >>> deployments.get_deployment(id=created["id"])["name"]
    'docs'

The functions of this module run on the default client, which takes its settings from the environment or from
`paperspace.gradient.configure`, when it is first used. The same functions hang on a client of your own
(`Client(...).deployments`), and there are twins to be awaited: `paperspace.gradient.aio.deployments` and
`AsyncClient(...).deployments`. All of them are made from the one definition in `AsyncDeployments`, but for
`wait_for_deployment`: its callback runs on the caller's thread.

Every function may raise any error of `paperspace.gradient.errors`; those named below are the ones to think of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paperspace.gradient._core.defaults import DEFAULT_WAIT
from paperspace.gradient._default_client import default_session
from paperspace.gradient._sync.blocking import blocking, blocking_iterator
from paperspace.gradient.deployments._api import AsyncDeployments

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from paperspace.gradient._core.session import Session
    from paperspace.gradient.types import DeploymentEvent, DeploymentSpecInput, DeploymentStatus

__all__ = [
    "apply_deployment",
    "create_deployment",
    "delete_deployment",
    "diff_deployment",
    "get_deployment",
    "get_deployment_history",
    "get_deployment_logs",
    "get_deployment_status",
    "iter_deployments",
    "list_deployment_statuses",
    "list_deployments",
    "load_spec",
    "rollback_deployment",
    "scale_deployment",
    "start_deployment",
    "stop_deployment",
    "update_deployment",
    "wait_for_deployment",
    "watch_deployment",
]


class Deployments:
    """The functions, to be called. Made by a client: `Client(...).deployments`."""

    def __init__(self, session: Callable[[], Session]) -> None:
        self._async = AsyncDeployments(session)

    create_deployment = blocking(AsyncDeployments.create_deployment)
    update_deployment = blocking(AsyncDeployments.update_deployment)
    delete_deployment = blocking(AsyncDeployments.delete_deployment)
    list_deployments = blocking(AsyncDeployments.list_deployments)
    iter_deployments = blocking_iterator(AsyncDeployments.iter_deployments)
    get_deployment = blocking(AsyncDeployments.get_deployment)
    apply_deployment = blocking(AsyncDeployments.apply_deployment)
    diff_deployment = blocking(AsyncDeployments.diff_deployment)
    scale_deployment = blocking(AsyncDeployments.scale_deployment)
    stop_deployment = blocking(AsyncDeployments.stop_deployment)
    start_deployment = blocking(AsyncDeployments.start_deployment)
    get_deployment_history = blocking(AsyncDeployments.get_deployment_history)
    rollback_deployment = blocking(AsyncDeployments.rollback_deployment)
    get_deployment_logs = blocking_iterator(AsyncDeployments.get_deployment_logs)
    get_deployment_status = blocking(AsyncDeployments.get_deployment_status)
    list_deployment_statuses = blocking(AsyncDeployments.list_deployment_statuses)
    watch_deployment = blocking_iterator(AsyncDeployments.watch_deployment)
    _settled = blocking(AsyncDeployments._settled)  # noqa: SLF001  # its own other face

    def wait_for_deployment(
        self,
        id: str,
        *,
        timeout: float = DEFAULT_WAIT,
        on_event: Callable[[DeploymentEvent], object] | None = None,
    ) -> DeploymentStatus:
        """See `AsyncDeployments.wait_for_deployment`, whose docstring takes the place of this one."""
        # Not `blocking`: the callback belongs on the caller's thread, where it may wait, exit and call us.
        status: DeploymentStatus | None = None
        for event in self.watch_deployment(id, timeout=timeout):
            status = event["status"]
            if on_event is not None:
                on_event(event)
        return self._settled(status)

    wait_for_deployment.__doc__ = AsyncDeployments.wait_for_deployment.__doc__


def load_spec(path: str | PathLike[str] | None = None, *, image: str | None = None) -> DeploymentSpecInput:
    """Reads a spec from a file, checks it, and returns it as the functions take it.

    Args:
        path: The file: `.yaml`, `.yml`, `.json`, `.jsonc` or `.toml`. None: the first of `paperspace.yaml`, `.yml`,
            `.json`, `.jsonc`, `.toml`, and `.paperspace/app.yaml` and so on, in the working directory.
        image: Stands in for the image `:image` of the file.

    Returns:
        The spec. That of an older file (`apiVersion`, `resources.machineType`, `ports`) is converted, where nothing is
        lost.

    Raises:
        InvalidSpecError: There is no such file, or it is no spec; every mistake is listed with file, line and column (in
            TOML with its path alone).
        InvalidArgumentError: `path` is no path.

    Example:
        >>> from pathlib import Path
        >>> text = "{image: ':image', port: 8501, resources: {machineType: A100}}"
        >>> _ = Path("paperspace.yaml").write_text(text)
        >>> deployments.load_spec(image="tensorflow/serving")
        {'image': 'tensorflow/serving', 'port': 8501, 'resources': {'instanceType': 'A100'}}
    """
    from paperspace.gradient._spec.files import read_file

    return read_file(path, image=image)


_default = Deployments(default_session)

create_deployment = _default.create_deployment
update_deployment = _default.update_deployment
delete_deployment = _default.delete_deployment
list_deployments = _default.list_deployments
iter_deployments = _default.iter_deployments
get_deployment = _default.get_deployment
apply_deployment = _default.apply_deployment
diff_deployment = _default.diff_deployment
scale_deployment = _default.scale_deployment
stop_deployment = _default.stop_deployment
start_deployment = _default.start_deployment
get_deployment_history = _default.get_deployment_history
rollback_deployment = _default.rollback_deployment
get_deployment_logs = _default.get_deployment_logs
get_deployment_status = _default.get_deployment_status
list_deployment_statuses = _default.list_deployment_statuses
watch_deployment = _default.watch_deployment
wait_for_deployment = _default.wait_for_deployment
