"""Which instances get the requests of which deployments: a value, and its changes."""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from paperspace.gradient.server.protection import Access

HTTP, HTTP2 = "http", "http2"
PROTOCOLS = (HTTP, HTTP2)

NO_PASSWORD = f"{'A' * 27}="
"""The digest of a password that nobody knows."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,62}", re.ASCII)


class Instance(NamedTuple):
    """An instance that gets requests, or got requests before."""

    deployment_id: str
    id: str
    port: int
    """Of 127.0.0.1."""
    protocol: str
    """`http` or `http2`."""
    order: int
    """Higher for instances that were routed later."""
    draining: bool = False
    """Whether it gets no new requests."""


class Routing(NamedTuple):
    """The endpoints and their instances. Every change returns a new value, or the same one if it changes nothing."""

    slots: Mapping[str, int] = {}
    """The ids of the deployments with an endpoint. Each has a slot: a number for the counters of its requests."""
    instances: frozenset[Instance] = frozenset()
    digests: Mapping[str, str] = {}
    """The SHA-1 of the password of each protected endpoint, in base64, by the id of the deployment."""

    @property
    def deployments(self) -> frozenset[str]:
        """The ids of the deployments with an endpoint."""
        return frozenset(self.slots)

    def expose(self, deployment_id: str, avoid: Collection[int] = ()) -> Routing:
        """Add an endpoint.

        Args:
            deployment_id: The id of the deployment.
            avoid: Slots that it does not get.

        Raises:
            ValueError: the id cannot be part of a URL.
        """
        if deployment_id in self.slots:
            return self
        if not _ID.fullmatch(deployment_id):
            raise ValueError(deployment_id)
        used = {*self.slots.values(), *avoid}
        slot = next(slot for slot in count() if slot not in used)
        return self._replace(slots={**self.slots, deployment_id: slot})

    def protect(self, deployment_id: str, access: Access | None) -> Routing:
        """Change who may use an endpoint.

        Args:
            deployment_id: The id of the deployment.
            access: Who may use it. None: everyone. If the password is unknown, that of before stays, or else none is right.
        """
        before = self.digests.get(deployment_id)
        digest = access and (access.digest or before or NO_PASSWORD)
        if digest == before:
            return self
        others = {id_: other for id_, other in self.digests.items() if id_ != deployment_id}
        return self._replace(digests={**others, deployment_id: digest} if digest else others)

    def route(self, deployment_id: str, instance_id: str, port: int, protocol: str) -> Routing:
        """Send requests to an instance. No other instance keeps its port: the container there does not exist any more.

        Raises:
            ValueError: the id cannot be part of a URL, or the protocol is unknown.
        """
        if protocol not in PROTOCOLS:
            raise ValueError(protocol)
        known = self.instance(deployment_id, instance_id)
        if known and known == known._replace(port=port, protocol=protocol, draining=False):
            return self
        order = 1 + max((instance.order for instance in self.instances), default=0)
        others = {entry for entry in self.instances if entry != known and entry.port != port}
        added = Instance(deployment_id, instance_id, port, protocol, order)
        return self.expose(deployment_id)._replace(instances=frozenset(others | {added}))

    def unroute(self, deployment_id: str, instance_id: str) -> Routing:
        """Send no new requests to an instance."""
        known = self.instance(deployment_id, instance_id)
        if known is None or known.draining:
            return self
        return self._replace(instances=self.instances - {known} | {known._replace(draining=True)})

    def unroute_all(self) -> Routing:
        """Send no new requests to any instance."""
        return self._replace(instances=frozenset(instance._replace(draining=True) for instance in self.instances))

    def forget_instance(self, deployment_id: str, instance_id: str) -> Routing:
        """Remove an instance."""
        known = self.instance(deployment_id, instance_id)
        return self._replace(instances=self.instances - {known}) if known else self

    def forget(self, deployment_id: str) -> Routing:
        """Remove an endpoint and its instances."""
        if deployment_id not in self.slots:
            return self
        return Routing(
            {id_: slot for id_, slot in self.slots.items() if id_ != deployment_id},
            frozenset(entry for entry in self.instances if entry.deployment_id != deployment_id),
            {id_: digest for id_, digest in self.digests.items() if id_ != deployment_id},
        )

    def instance(self, deployment_id: str, instance_id: str) -> Instance | None:
        """Return an instance. None: it is unknown."""
        for instance in self.instances:
            if (instance.deployment_id, instance.id) == (deployment_id, instance_id):
                return instance
        return None

    def of(self, deployment_id: str) -> frozenset[Instance]:
        """Return the instances of a deployment."""
        return frozenset(instance for instance in self.instances if instance.deployment_id == deployment_id)

    def protocols(self) -> Mapping[str, str]:
        """Return the protocol that requests for each deployment use: that of the instance that was routed last.

        Instances that get requests count before those that drain.
        """
        protocols = dict.fromkeys(self.slots, HTTP)
        for instance in sorted(self.instances, key=lambda entry: (not entry.draining, entry.order)):
            protocols[instance.deployment_id] = instance.protocol
        return protocols


def combine(old: Routing, new: Routing) -> frozenset[Instance]:
    """Return instances with which both the old and the new endpoints work, for the time when endpoints change."""
    combined = {(entry.deployment_id, entry.id): entry for entry in new.instances}
    for entry in old.instances:
        replacement = combined.get((entry.deployment_id, entry.id))
        if not entry.draining and (replacement is None or replacement.draining):
            combined[entry.deployment_id, entry.id] = entry
    return without_shared_ports(combined.values())


def without_shared_ports(instances: Iterable[Instance]) -> frozenset[Instance]:
    """Return the instances without those whose port belongs to one that was routed later."""
    return frozenset({entry.port: entry for entry in sorted(instances, key=lambda entry: entry.order)}.values())
