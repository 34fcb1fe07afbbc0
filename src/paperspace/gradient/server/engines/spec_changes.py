"""What a new spec changes, for the events of a deployment. Only names of fields, images and numbers: values can be secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from paperspace.gradient._shared.counting import count
from paperspace.gradient.server.engines.autoscaling import desired_replicas
from paperspace.gradient.server.engines.effective_spec import effective
from paperspace.gradient.server.engines.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

_REPLICAS = "resources.replicas"


class Revision(NamedTuple):
    """A spec and where it runs."""

    data: Mapping[str, Any]
    cluster_id: str


def change_of(before: Revision | None, after: Revision, actor: str) -> tuple[Reason, str]:
    """Return the reason and the message of the event that a revision was applied.

    Args:
        before: The revision before. None: it is the first one.
        after: The new revision.
        actor: The name of its author.
    """
    wanted = desired_replicas(after.data)
    what_runs = f"{after.data['image']}, {count(wanted, 'replica')}"
    if before is None:
        return Reason.ROLLOUT_STARTED, f"{actor} created the deployment: {what_runs}."
    changed = _changed_fields(before, after)
    earlier = desired_replicas(before.data)
    if earlier and not wanted:
        return Reason.STOPPED, f"{actor} stopped the deployment."
    if wanted and not earlier:
        return Reason.ROLLOUT_STARTED, f"{actor} started the deployment: {what_runs}."
    if changed == [_REPLICAS]:
        return Reason.SCALED, f"{actor} changed the number of replicas from {earlier} to {wanted}."
    if not changed:
        return Reason.ROLLOUT_STARTED, f"{actor} restarted the deployment."
    if "image" in changed:
        changed[changed.index("image")] = f"image ({before.data['image']} to {after.data['image']})"
    return Reason.ROLLOUT_STARTED, f"{actor} changed {', '.join(changed)}."


def _changed_fields(before: Revision, after: Revision) -> list[str]:
    """Return the names of the fields that differ, sorted."""
    old, new = _fields(before), _fields(after)
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def _fields(revision: Revision) -> dict[str, object]:
    """Return the fields of a revision by name."""
    data = effective(revision.data)
    resources = data.pop("resources")
    return {**data, **{f"resources.{name}": value for name, value in resources.items()}, "cluster": revision.cluster_id}
