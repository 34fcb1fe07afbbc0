"""The local server: the API of the hosted service, on the user's machine.

A GraphQL request passes these subpackages, from the network inwards:

    http      listener, middleware, routes: is this a valid request, and is its API key right?
    graphql   limits, validation, execution in one transaction; one resolver for each field
    engines   what runs for each deployment: the runtime interface, the simulation, and the observed state
    storage   the desired state and every row, in SQLite

Containers are run beside the requests, when the desired state has changed or a container has:

    control     what the commands about the server do, through a socket or without a server
    docker      the Docker engine: images, containers, ports, limits
    gateway     Envoy, which sends the requests of endpoints to the containers
    controller  the rule of a rollout, and the loop that makes containers match the desired state

All four use `engines` and `storage`. A subpackage imports only from those below it. All of them may import `errors`, `clock`,
`defaults`, `locks` and `sockets`, which import none of them. Between `http` and `graphql` stand `dispatcher`, `backend` and
`lanes`, which execute each request in a thread with a connection to the database; `http` gets them as functions.
`fault_injection`, and `controlled` and `local` (which put the parts together), stand above `http`.
"""

from __future__ import annotations

from paperspace.gradient.server.fault_injection import delay, drop, rate_limit, server_error
from paperspace.gradient.server.local import LocalServer
from paperspace.gradient.server.storage.files import UnusableDatabaseError

__all__ = ["LocalServer", "UnusableDatabaseError", "delay", "drop", "rate_limit", "server_error"]
