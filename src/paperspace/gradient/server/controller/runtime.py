"""The runtime of an engine: checks specs, and leaves the rest to the controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.workload import workload_of
from paperspace.gradient.server.engines.autoscaling import desired_replicas
from paperspace.gradient.server.engines.runtime import DesiredState, Event, Instance, UnsupportedSpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from paperspace.gradient.server.controller.engine import Engine


class EngineRuntime:
    """Accept the specs that the controller can run on an engine.

    The controller reads the accepted specs from the database after the commit, and adds instances and events itself.
    """

    simulated = False

    def __init__(self, engine: Engine, ports: range) -> None:
        self._engine = engine
        self._ports = ports

    def replicas(self, desired: DesiredState) -> int:
        """Return the number of instances to run. A spec without instances is not checked: it needs nothing of the machine.

        Raises:
            UnsupportedSpecError: the controller or the engine cannot run the spec.
        """
        replicas = desired_replicas(desired.spec, desired.scale)
        if replicas:
            self._engine.check(workload_of(desired.spec))
        if replicas > len(self._ports):
            ports = f"{self._ports[0]}-{self._ports[-1]}"
            raise UnsupportedSpecError(
                f"{replicas} replicas need {replicas} ports, but --port-range {ports} has only {len(self._ports)}."
            )
        return replicas

    def initial_instances(self, replicas: int) -> int:  # noqa: ARG002  # the controller adds all instances
        """Return that no instances are added when a spec is accepted."""
        return 0

    def run(
        self,
        desired: DesiredState | None,  # noqa: ARG002  # the controller reads it from the database
        instances: Sequence[Instance],  # noqa: ARG002
        now: datetime,  # noqa: ARG002
    ) -> Iterable[Event]:
        """Return no events: nothing has happened yet."""
        return ()
