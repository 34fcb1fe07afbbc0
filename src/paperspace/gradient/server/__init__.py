"""The local server: the API of the hosted service, on the user's own machine.

A request goes through the modules in this order, each of which knows the next one only:
`http` (is it a request at all, and whose?), `execution` (one request, one transaction), `schema` with `resolvers`
(what each field means), `store` (the rows, in SQLite). `local` puts them together.
"""

from __future__ import annotations

from paperspace.gradient.server.fault_injection import delay, drop, rate_limit
from paperspace.gradient.server.local import LocalServer
from paperspace.gradient.server.storage.migrations import UnusableDatabaseError

__all__ = ["LocalServer", "UnusableDatabaseError", "delay", "drop", "rate_limit"]
