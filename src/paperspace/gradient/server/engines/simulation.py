"""A runtime that runs nothing: it says what would have happened, plainly called simulated.

A container starts after one step of time and is healthy after another, each half a step behind the one before it.
What ran before gives way to it one for one. Nothing here waits: the events are simply dated.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from paperspace.gradient._shared.spec_rules import DEFAULT_PORT
from paperspace.gradient.server.engines.runtime import (
    ERRORED,
    FAILED,
    HEALTHY,
    PENDING,
    RETRYING,
    CannotRunError,
    Event,
    Gone,
    Instance,
    Line,
    State,
    Work,
    replicas_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MOST_REPLICAS = 100
SCALE_DOWN_AFTER = timedelta(minutes=5)
CRASHES = 3
FATE_VARIABLE = "GRADIENT_SIMULATE"


class Fate(StrEnum):
    """What becomes of the instances of a deployment."""

    HEALTHY = "healthy"
    FAIL = "fail"
    CRASH_LOOP = "crash-loop"
    PENDING = "pending"


class Simulation:
    """Simulates the life of deployments.

    Attributes:
        step: How long it takes to start a container, and how long until it is healthy.
        fates: What becomes of the deployments of these names; otherwise the spec's variable `GRADIENT_SIMULATE` says.
        loads: How many replicas the load of the deployments of these names calls for, where there is autoscaling.
    """

    simulated = True

    def __init__(self, step: timedelta = timedelta(seconds=1)) -> None:
        self.step = step
        self.fates: dict[str, Fate] = {}
        self.loads: dict[str, int] = {}

    def replicas(self, work: Work) -> int:
        """How many instances the work is to have.

        Raises:
            CannotRunError: More than are simulated.
        """
        wanted = replicas_of(work.data, self.loads.get(work.name, 0))
        if wanted > MOST_REPLICAS:
            raise CannotRunError(f"Simulated: {wanted} replicas do not fit, {MOST_REPLICAS} are the most there can be.")
        return wanted

    def events(self, work: Work | None, instances: Sequence[Instance], moment: datetime) -> Iterator[Event]:
        """What happens from this moment on."""
        new = [instance for instance in instances if instance.current]
        old = [instance for instance in instances if not instance.current]
        wanted, ready = 0, []
        if work is not None:
            wanted = self.replicas(work)
            for index, instance in enumerate(new[:wanted]):
                life = list(self._life(work, instance, moment, moment + index * self.step / 2))
                yield from life
                states = [(event.state, event.at) for event in life if isinstance(event, State)]
                state, at = states[-1] if states else (instance.state, moment)
                if state == HEALTHY:
                    ready.append(at)
        for instance in new[wanted:]:
            yield from _end(instance, moment + SCALE_DOWN_AFTER)
        yield from self._give_way(old, wanted, sorted(ready), moment)

    def _give_way(
        self, old: Sequence[Instance], wanted: int, ready: Sequence[datetime], moment: datetime
    ) -> Iterator[Event]:
        """The end of earlier instances: for each new one that is ready there is one less of them to keep."""
        serving = [instance for instance in old if instance.state == HEALTHY]
        for instance in old:
            if instance not in serving:
                yield from _end(instance, moment)
        for number, at in enumerate([moment] if wanted == 0 else ready, start=1):
            keep = max(wanted - number, 0)
            for instance in serving[keep:]:
                yield from _end(instance, at + self.step)
            serving = serving[:keep]

    def _life(self, work: Work, instance: Instance, moment: datetime, begin: datetime) -> Iterator[Event]:
        """What becomes of one instance of the present spec; nothing new if it is well and to stay so."""
        fate = self._fate(work)
        if instance.state == HEALTHY and fate is Fate.HEALTHY:
            return
        image, started = work.data["image"], begin + self.step
        yield Line(instance.id, moment, f"[simulated] waiting for a machine to run {image} on")
        yield State(instance.id, moment, "Pending", PENDING, "Simulated: waiting for a machine.")
        if fate is Fate.PENDING:
            return
        if fate is Fate.FAIL:
            yield Line(instance.id, started, f"[simulated] the image {image} cannot be pulled")
            yield State(instance.id, started, "Pending", ERRORED, f"Simulated: the image {image} cannot be pulled.")
            return
        yield Line(instance.id, started, f"[simulated] {image} started, port {_port(work.data)}")
        yield State(instance.id, started, "Running", PENDING, "Simulated: the container is starting.")
        up = started + self.step
        if fate is Fate.CRASH_LOOP:
            for crash in range(1, CRASHES + 1):
                yield Line(instance.id, up, "[simulated] exited with code 1")
                message = f"Simulated: exited with code 1, for the {crash}. time; starting again."
                yield State(instance.id, up, "Running", RETRYING, message)
                up += self.step
            yield Line(instance.id, up, "[simulated] exited with code 1, given up")
            yield State(instance.id, up, "Failed", FAILED, "Simulated: exited with code 1 again and again.")
            return
        yield Line(instance.id, up, "[simulated] ready")
        yield State(instance.id, up, "Running", HEALTHY, "Simulated: ready.")

    def _fate(self, work: Work) -> Fate:
        if work.name in self.fates:
            return self.fates[work.name]
        for variable in work.data.get("env") or ():
            if variable["name"] == FATE_VARIABLE and variable["value"] in set(Fate):
                return Fate(variable["value"])
        return Fate.HEALTHY


def _end(instance: Instance, at: datetime) -> Iterator[Event]:
    if instance.state != FAILED:  # else it has stopped, and writes nothing more
        yield Line(instance.id, at, "[simulated] stopped")
    yield Gone(instance.id, at)


def _port(data: Mapping[str, Any]) -> int:
    port: int | None = data.get("port")
    return DEFAULT_PORT if port is None else port
