"""The rule: what to do next for one deployment, given its desired state, its observed state and the time.

The rule is a pure function. Nothing is remembered between two calls: the controller can be killed after any step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.lifecycle import lifecycle
from paperspace.gradient.server.controller.state import replicas_of
from paperspace.gradient.server.controller.steps import Add, Adopt, Leave, Remove, Serve, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from paperspace.gradient.server.controller.state import Limits, Observed, Replica, Revision, Wanted


def next_steps(wanted: Wanted, observed: Observed, now: datetime, limits: Limits) -> list[Step]:
    """Return what to do next. Nothing but waiting is left if this contains only steps that are being done already."""
    replicas = replicas_of(observed)
    steps: list[Step] = [*_same_template(wanted, replicas)]
    if steps:
        return steps  # the rest depends on them
    steps += _rollout(wanted, replicas)
    for replica in replicas:
        steps += lifecycle(replica, wanted, now, limits)
    steps += (
        Remove(container.id) for container in observed.containers if container.key.instance_id in observed.removed
    )
    return steps


def _same_template(wanted: Wanted, replicas: Sequence[Replica]) -> Iterator[Step]:
    """Let the newest revision keep the instances of another revision with the same template."""
    newest, serving = wanted
    if newest is None or newest.error or newest.replicas == 0:
        return
    for replica in replicas:
        instance, stays = replica.instance, not (replica.leaving or replica.failed)
        if stays and instance.template == newest.template and instance.spec_id != newest.spec_id:
            yield Adopt(instance.id, newest.spec_id)
    if serving and serving.replicas and not _serves(newest, serving) and serving.template == newest.template:
        yield Serve(newest.spec_id)


def _rollout(wanted: Wanted, replicas: Sequence[Replica]) -> Iterator[Step]:
    """Decide which instances there are.

    A new revision replaces the instances of the serving one by one: the next instance is added when the last one has
    become available, which in turn replaces one of those before. If it fails, these are restored in the same way. Until then,
    what serves keeps its number of replicas: autoscaling may raise it, and an instance that has replaced one may get lost.
    """
    newest, serving = wanted
    target = wanted.target
    staying = [replica for replica in replicas if not replica.leaving]
    own = [replica for replica in staying if replica.belongs_to(target)]
    # The failed instances of the newest revision stay, because they show why it failed.
    failed = [
        replica for replica in staying if newest and newest.error and replica.belongs_to(newest) and not replica.ready
    ]
    others = [replica for replica in staying if replica not in own and replica not in failed]
    if target is None:
        yield from _leave(others)
        return

    available = sum(replica.available for replica in own)
    complete = available >= target.replicas
    others_serve = any(replica.ready for replica in others)
    if target is newest and not _serves(target, serving) and (complete or (available and not others_serve)):
        yield Serve(target.spec_id)

    # Sorting is stable: among equals, the oldest come first and are kept.
    useful = [replica for replica in others if replica.ready or replica.belongs_to(serving)]
    kept = 0 if complete else max((serving or target).replicas - available, 0)
    ranked = sorted(
        useful, key=lambda replica: (replica.available, replica.ready, replica.belongs_to(serving)), reverse=True
    )
    yield from _leave(replica for replica in others if replica not in ranked[:kept])
    if serving and others_serve and not _serves(target, serving) and len(useful) < kept:
        yield Add(serving.spec_id, kept - len(useful))

    ranked = sorted(own, key=lambda replica: (replica.available, replica.ready), reverse=True)
    yield from _leave(ranked[target.replicas :])
    limit = min(target.replicas, available + 1) if others_serve else target.replicas
    if len(own) < limit:
        yield Add(target.spec_id, limit - len(own))


def _serves(revision: Revision, serving: Revision | None) -> bool:
    return serving is not None and serving.spec_id == revision.spec_id


def _leave(replicas: Iterable[Replica]) -> Iterator[Step]:
    return (Leave(replica.instance.id) for replica in replicas)
