"""Protected endpoints in Envoy: the filter that checks the password, and its settings for a route."""

from __future__ import annotations

from typing import Any

from paperspace.gradient.server.gateway.resources import Resource, typed
from paperspace.gradient.server.gateway.routing import NO_PASSWORD
from paperspace.gradient.server.protection import HOSTED_USER, USER

_NAME = "envoy.filters.http.basic_auth"
_TYPE = "envoy.extensions.filters.http.basic_auth.v3"
_START = f"{USER}:{{SHA}}"  # the only hash that the filter knows


def basic_auth_filter() -> Resource:
    """Return the filter. It checks only the requests of routes that have settings for it."""
    return {
        "name": _NAME,
        "disabled": True,
        "typed_config": typed(f"{_TYPE}.BasicAuth", users=_users(NO_PASSWORD)),
    }


def protection(digest: str) -> Resource:
    """Return what a route needs so that only requests with the password pass. The container does not get the password."""
    settings = typed(f"{_TYPE}.BasicAuthPerRoute", users=_users(digest))
    return {"typed_per_filter_config": {_NAME: settings}, "request_headers_to_remove": ["authorization"]}


def read_digest(route: Any) -> str | None:
    """Return the digest in a route. None: it is not protected.

    Raises:
        LookupError, TypeError, ValueError: the route is not one of ours.
    """
    if "typed_per_filter_config" not in route:
        return None
    users: str = route["typed_per_filter_config"][_NAME]["users"]["inline_string"]
    if not users.startswith(_START):
        raise ValueError(users)
    return users.partition("\n")[0].removeprefix(_START)


def _users(digest: str) -> Resource:
    return {"inline_string": f"{_START}{digest}\n{HOSTED_USER}:{{SHA}}{digest}"}
