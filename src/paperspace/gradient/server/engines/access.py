"""Who may use the endpoint of a deployment, according to its specs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from paperspace.gradient.server.protection import Access, Passwords
    from paperspace.gradient.server.storage.database import Database

_SPEC = "SELECT id, error, json_extract(data, '$.endpointSecurity') AS security FROM deployment_specs"


def access_of(
    database: Database, passwords: Passwords, deployment_id: str, serving_spec_id: str | None
) -> Access | None:
    """Return who may use the endpoint of a deployment. None: everyone.

    Args:
        database: The database, in a transaction.
        passwords: The passwords.
        deployment_id: The id of the deployment.
        serving_spec_id: The id of the spec that serves it. None: nothing does.
    """
    security = security_of(database, deployment_id, serving_spec_id)
    return passwords.access(deployment_id, security) if security else None


def security_of(database: Database, deployment_id: str, serving_spec_id: str | None) -> Mapping[str, Any] | None:
    """Return the `endpointSecurity` that counts. None: the endpoint is not protected.

    While a revision replaces another one, the endpoint is protected if one of the two is. So no request without credentials
    reaches a container of a protected revision. A revision that has failed does not count.
    """
    newest = database.rows(
        f"{_SPEC} WHERE deployment_id = ? AND external_applied IS NOT NULL ORDER BY seq DESC LIMIT 1", deployment_id
    )
    serving = database.rows(f"{_SPEC} WHERE id = ?", serving_spec_id)
    for spec in [spec for spec in newest if not (serving and spec["error"])] + serving:
        security: dict[str, Any] | None = json.loads(spec["security"] or "null")
        if security and security["protected"]:
            return security
    return None
