"""Async versions of the functions of `paperspace.gradient.deployments`, on the same default client.

    >>> import asyncio
    >>> from paperspace.gradient.aio import deployments
    >>> async def names():
    ...     return [deployment["name"] for deployment in await deployments.list_deployments(project_id="p1")]
    >>> asyncio.run(names())
    ['mnist']

`iter_deployments`, `iter_deployment_history`, `watch_deployment` and `get_deployment_logs` return async generators, for
`async for`. `load_spec` and `load_specs` are the same functions as in `paperspace.gradient.deployments`.
"""

from __future__ import annotations

from paperspace.gradient._default_client import default_session
from paperspace.gradient.deployments import load_spec, load_specs
from paperspace.gradient.deployments._api import AsyncDeployments

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

_default = AsyncDeployments(default_session)

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
