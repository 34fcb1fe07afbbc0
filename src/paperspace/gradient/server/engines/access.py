"""Who may use the endpoint of a deployment, according to its specs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from paperspace.gradient.server.protection import Access, Passwords
    from paperspace.gradient.server.storage.database import Database

_SPEC = "SELECT id, error, json_extract(data, '$.endpointSecurity') AS security FROM deployment_specs"
_OF_INSTANCES = "SELECT spec_id FROM instances WHERE id IN (SELECT value FROM json_each(?))"


def access_of(
    database: Database,
    passwords: Passwords,
    deployment_id: str,
    serving_spec_id: str | None,
    routed: Iterable[str] = (),
) -> Access | None:
    """Return who may use the endpoint of a deployment. None: everyone.

    Args:
        database: The database, in a transaction.
        passwords: The passwords.
        deployment_id: The id of the deployment.
        serving_spec_id: The id of the spec that serves it. None: nothing does.
        routed: The ids of the instances that get its requests.
    """
    security = security_of(database, deployment_id, serving_spec_id, routed)
    return passwords.access(deployment_id, security) if security else None


def security_of(
    database: Database, deployment_id: str, serving_spec_id: str | None, routed: Iterable[str] = ()
) -> Mapping[str, Any] | None:
    """Return the `endpointSecurity` that counts. None: the endpoint is not protected.

    While a revision replaces another one, the endpoint is protected if one of the two is. A revision that has failed does not
    count. Each revision of an instance that gets requests counts too: of those that failed or were superseded, some may be left.
    So no request without credentials reaches a container of a protected revision.
    """
    newest = database.rows(
        f"{_SPEC} WHERE deployment_id = ? AND external_applied IS NOT NULL ORDER BY seq DESC LIMIT 1", deployment_id
    )
    serving = database.rows(f"{_SPEC} WHERE id = ?", serving_spec_id)
    others = database.rows(f"{_SPEC} WHERE id IN ({_OF_INSTANCES}) ORDER BY seq DESC", json.dumps(list(routed)))
    for spec in [*(spec for spec in newest if not (serving and spec["error"])), *serving, *others]:
        security: dict[str, Any] | None = json.loads(spec["security"] or "null")
        if security and security["protected"]:
            return security
    return None
