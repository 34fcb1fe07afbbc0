"""Functions for Gradient Deployments.

    >>> from paperspace.gradient import deployments
    >>> spec = {"image": "tensorflow/serving", "port": 8501, "resources": {"instanceType": "A100", "replicas": 1}}
    >>> created = deployments.create_deployment(name="docs", project_id="p1", spec=spec)
    >>> deployments.get_deployment(id=created["id"])["name"]
    'docs'

These functions use the default client. It is created on first use, with settings from `paperspace.gradient.configure`
or from the environment. A client of your own has the same functions: `Client(...).deployments`. The async versions are
`paperspace.gradient.aio.deployments` and `AsyncClient(...).deployments`.

Every function that sends a request may raise any subclass of `paperspace.gradient.APIError`. `Raises` lists the errors
that are specific to a function.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Self

from paperspace.gradient._core.defaults import DEFAULT_WAIT
from paperspace.gradient._default_client import default_session
from paperspace.gradient._shared.lazy import lazy_modules
from paperspace.gradient._sync.blocking import blocking, blocking_iterator, public
from paperspace.gradient.deployments._api import AsyncDeployments

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from paperspace.gradient._core.session import Session
    from paperspace.gradient._spec import files, folders
    from paperspace.gradient.deployments import _arguments
    from paperspace.gradient.types import DeploymentSpecInput, DeploymentStatus, NamedSpec, WatchEvent
else:
    files, folders = lazy_modules("paperspace.gradient._spec", "files", "folders")
    [_arguments] = lazy_modules("paperspace.gradient.deployments", "_arguments")

__all__ = [
    "apply_deployment",
    "create_deployment",
    "delete_deployment",
    "diff_deployment",
    "get_deployment",
    "get_deployment_events",
    "get_deployment_history",
    "get_deployment_logs",
    "get_deployment_metrics",
    "get_deployment_spec",
    "get_deployment_status",
    "iter_deployment_history",
    "iter_deployments",
    "list_deployment_statuses",
    "list_deployments",
    "load_spec",
    "load_specs",
    "patch_deployment",
    "restart_deployment",
    "rollback_deployment",
    "scale_deployment",
    "start_deployment",
    "stop_deployment",
    "update_deployment",
    "wait_for_deployment",
    "watch_deployment",
]


class Deployments:
    """The sync version of the functions, created by a client: `Client(...).deployments`.

    Each function runs its async version and waits for the result.
    """

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
    get_deployment_spec = blocking(AsyncDeployments.get_deployment_spec)
    patch_deployment = blocking(AsyncDeployments.patch_deployment)
    scale_deployment = blocking(AsyncDeployments.scale_deployment)
    stop_deployment = blocking(AsyncDeployments.stop_deployment)
    start_deployment = blocking(AsyncDeployments.start_deployment)
    restart_deployment = blocking(AsyncDeployments.restart_deployment)
    get_deployment_history = blocking(AsyncDeployments.get_deployment_history)
    iter_deployment_history = blocking_iterator(AsyncDeployments.iter_deployment_history)
    rollback_deployment = blocking(AsyncDeployments.rollback_deployment)
    get_deployment_logs = blocking_iterator(AsyncDeployments.get_deployment_logs)
    get_deployment_events = blocking(AsyncDeployments.get_deployment_events)
    get_deployment_metrics = blocking(AsyncDeployments.get_deployment_metrics)
    get_deployment_status = blocking(AsyncDeployments.get_deployment_status)
    list_deployment_statuses = blocking(AsyncDeployments.list_deployment_statuses)
    watch_deployment = blocking_iterator(AsyncDeployments.watch_deployment)
    # The sync versions of private methods of the same class.
    _create = blocking(AsyncDeployments._create)  # noqa: SLF001
    _update = blocking(AsyncDeployments._update)  # noqa: SLF001
    _failure = blocking(AsyncDeployments._failure)  # noqa: SLF001
    _patch = blocking(AsyncDeployments._patch)  # noqa: SLF001
    _find_deployments = blocking(AsyncDeployments._find_deployments)  # noqa: SLF001
    _get_deployment_details = blocking(AsyncDeployments._get_deployment_details)  # noqa: SLF001
    _get_latest_metrics = blocking(AsyncDeployments._get_latest_metrics)  # noqa: SLF001
    _follow_deployment_events = blocking_iterator(AsyncDeployments._follow_deployment_events)  # noqa: SLF001

    def wait_for_deployment(
        self,
        id: str | None = None,
        *,
        name: str | None = None,
        project_id: str | None = None,
        spec_id: str | None = None,
        timeout: float = DEFAULT_WAIT,
        on_event: Callable[[WatchEvent], object] | None = None,
    ) -> DeploymentStatus:
        """See `AsyncDeployments.wait_for_deployment`, whose docstring replaces this one."""
        from copy import deepcopy

        # Not `blocking`: the callback runs on the caller's thread, where it may block, exit and call the library.
        status = seen = None
        self = self._with_one_session()
        watched = self.watch_deployment(id, name=name, project_id=project_id, spec_id=spec_id, timeout=timeout)
        for event in watched:
            if event["status"] is not seen:  # one for all events of a poll; the callback may change it
                seen, status = event["status"], deepcopy(event["status"])
            if on_event is not None:
                on_event(event)
        assert status is not None  # noqa: S101  # a watch ends with an event or an error
        if failure := self._failure(status):
            raise failure
        return status

    wait_for_deployment.__doc__ = AsyncDeployments.wait_for_deployment.__doc__
    public(wait_for_deployment, AsyncDeployments.wait_for_deployment)

    def _with_one_session(self) -> Self:
        """See `AsyncDeployments._with_one_session`."""
        return type(self)(cache(self._async._session))  # noqa: SLF001


def load_spec(
    path: str | PathLike[str] | None = None, *, image: str | None = None, env_subst: bool = False
) -> DeploymentSpecInput:
    """Load a spec from a file, and validate it.

    Args:
        path: The path of the file. The suffixes `.json`, `.jsonc` and `.toml` select the format; any other file is YAML
            or JSON. None: the first of `paperspace.yaml`, `.yml`, `.json`, `.jsonc`, `.toml` and `.paperspace/app.yaml`
            (same suffixes) in the working directory.
        image: The image that replaces that of the file, such as the placeholder `:image`. None: no change.
        env_subst: Whether to substitute `${NAME}` and `${NAME:-default}` in the values from the environment; `$$` is a
            literal dollar.

    Returns:
        The spec, ready for `create_deployment` and the other functions. A spec in the older format (`apiVersion`,
        `resources.machineType`, `ports`) is converted. `name` and `projectId` of the file are left out, as a spec has
        neither; `load_specs` returns them.

    Raises:
        InvalidSpecError: The file does not exist, cannot be read, is not a valid spec, or cannot be converted without
            loss. The message lists every problem with its line and column (in TOML, with its path in the spec).
        InvalidArgumentError: `path` is not a path.

    Example:
        >>> from pathlib import Path
        >>> text = "{image: ':image', port: 8501, resources: {machineType: A100}}"
        >>> _ = Path("paperspace.yaml").write_text(text)
        >>> deployments.load_spec(image="tensorflow/serving")
        {'image': 'tensorflow/serving', 'port': 8501, 'resources': {'instanceType': 'A100'}}
    """
    return files.read_file(path, image=image, env_subst=env_subst).validate()


def load_specs(path: str | PathLike[str], project_id: str | None = None, *, env_subst: bool = False) -> list[NamedSpec]:
    """Load the spec files of a folder, each with the name of its deployment, and validate them.

    The rules are those of `gradient deployments apply FOLDER`. Hidden files and subfolders are not read.

    Args:
        path: The path of a folder, or of one spec file. In a folder, the files are those that end with `.yaml`, `.yml`,
            `.json`, `.jsonc` or `.toml`.
        project_id: The project of the deployments, in place of that in the files. None: `projectId` in each file.
        env_subst: Whether to substitute variables, as in `load_spec`.

    Returns:
        A list of dicts with `path`, `name`, `projectId` and `spec`, sorted by the names of the files.

    Raises:
        InvalidSpecError: A file is not a valid spec file, does not set `name`, or sets no `projectId` and `project_id` is
            None. Or two files describe the same deployment, or the folder has no spec files. The message lists
            every problem of all files, with its line and column (in TOML, with its path in the spec).
        InvalidArgumentError: `path` is not a path, or `project_id` is invalid.

    Example:
        >>> from pathlib import Path
        >>> Path("models").mkdir()
        >>> _ = Path("models/digits.yaml").write_text("{name: digits, image: tensorflow/serving}")
        >>> _ = Path("models/ranking.yaml").write_text("{name: ranking, image: tensorflow/serving}")
        >>> for named in deployments.load_specs("models", "p1"):
        ...     applied = deployments.apply_deployment(named["name"], named["projectId"], named["spec"])
        ...     print(named["path"], applied["action"])
        models/digits.yaml created
        models/ranking.yaml created
    """
    _arguments.require(_arguments.check_optional_text(project_id, "project_id"))
    return folders.load_specs(path, project_id, env_subst=env_subst)


_default = Deployments(default_session)

create_deployment = _default.create_deployment
update_deployment = _default.update_deployment
delete_deployment = _default.delete_deployment
list_deployments = _default.list_deployments
iter_deployments = _default.iter_deployments
get_deployment = _default.get_deployment
apply_deployment = _default.apply_deployment
diff_deployment = _default.diff_deployment
get_deployment_spec = _default.get_deployment_spec
patch_deployment = _default.patch_deployment
scale_deployment = _default.scale_deployment
stop_deployment = _default.stop_deployment
start_deployment = _default.start_deployment
restart_deployment = _default.restart_deployment
get_deployment_history = _default.get_deployment_history
iter_deployment_history = _default.iter_deployment_history
rollback_deployment = _default.rollback_deployment
get_deployment_logs = _default.get_deployment_logs
get_deployment_events = _default.get_deployment_events
get_deployment_metrics = _default.get_deployment_metrics
get_deployment_status = _default.get_deployment_status
list_deployment_statuses = _default.list_deployment_statuses
watch_deployment = _default.watch_deployment
wait_for_deployment = _default.wait_for_deployment
