"""A summary of the deployments of a database, for the operator of the server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paperspace.gradient.server.protection import Passwords
    from paperspace.gradient.server.storage.database import Database

STATES = ("ready", "pending", "failed", "stopped")
MAX_PROBLEMS = 20  # people fix a few at a time

# Only the newest spec and its instances count, as in `deployments.get_deployment_status`.
_DEPLOYMENTS = """
WITH newest AS (
    SELECT deployments.seq, deployments.id, deployments.name, deployment_specs.id AS spec_id, error, external_applied,
        CASE WHEN json_extract(data, '$.enabled') IS FALSE THEN 0
            ELSE coalesce(json_extract(data, '$.resources.replicas'), 1) END AS replicas,
        (SELECT replicas FROM scales_now WHERE spec_id = deployment_specs.id) AS scale
    FROM deployments JOIN deployment_specs ON deployment_specs.seq = (
        SELECT max(seq) FROM deployment_specs WHERE deployment_id = deployments.id
    )
    WHERE dt_deleted IS NULL
),
counted AS (
    SELECT newest.*, count(present.id) AS present,
        count(*) FILTER (WHERE present.spec_id <> newest.spec_id) AS earlier,
        count(*) FILTER (WHERE present.spec_id <> newest.spec_id AND present.state = 'healthy') AS serving,
        count(*) FILTER (WHERE present.spec_id = newest.spec_id AND present.state = 'healthy') AS ready,
        max(present.state_message) FILTER (
            WHERE present.spec_id = newest.spec_id AND present.state IN ('errored', 'failed')
        ) AS failure,
        max(present.state_message) FILTER (
            WHERE present.spec_id = newest.spec_id AND present.state = 'retrying'
        ) AS trouble
    FROM newest LEFT JOIN instances_now AS present ON present.deployment_id = newest.id AND present.removal > now()
    GROUP BY newest.seq
),
judged AS (
    SELECT seq, id, name, max(replicas, coalesce(scale, 0)) AS wanted, ready, serving,
        coalesce(error, failure, trouble) AS reason,
        CASE
            WHEN error IS NOT NULL OR failure IS NOT NULL THEN 'failed'
            WHEN external_applied IS NULL THEN 'pending'
            WHEN replicas = 0 THEN CASE WHEN present THEN 'pending' ELSE 'stopped' END
            WHEN ready >= CASE WHEN earlier THEN max(replicas, coalesce(scale, 0)) ELSE replicas END THEN 'ready'
            ELSE 'pending'
        END AS state
    FROM counted
)
"""
_COUNTS = f"{_DEPLOYMENTS} SELECT state, count(*) AS total FROM judged GROUP BY state"  # noqa: S608
_PROBLEMS = f"""{_DEPLOYMENTS}
SELECT id, name, state, reason, serving FROM judged WHERE reason IS NOT NULL ORDER BY seq DESC LIMIT {MAX_PROBLEMS}
"""  # noqa: S608

# The endpoints whose password is a secret, of the deployments that have no other problem.
_SECRET_PASSWORDS = f"""{_DEPLOYMENTS}
SELECT judged.id, judged.name, state, serving, json_extract(data, '$.endpointSecurity') AS security
FROM judged JOIN deployments ON deployments.seq = judged.seq JOIN deployment_specs ON deployment_specs.id = serving_spec_id
WHERE reason IS NULL AND state <> 'stopped' AND json_extract(data, '$.endpointSecurity.protected')
    AND json_extract(data, '$.endpointSecurity.secret') IS NOT NULL
ORDER BY judged.seq DESC
"""  # noqa: S608
_STATES = f"{_DEPLOYMENTS} SELECT id, name, state, wanted, ready FROM judged ORDER BY seq DESC LIMIT ?"  # noqa: S608


class DeploymentState(NamedTuple):
    """The state of a deployment."""

    id: str
    name: str
    state: str
    """As in `Summary.counts`."""
    replicas: int
    """How many replicas its newest revision should have: those of its spec, or more if autoscaling raised the number."""
    ready: int
    """How many replicas of its newest revision are ready."""


class Problem(NamedTuple):
    """A deployment that has failed, whose containers crash, or whose endpoint has no password any more."""

    id: str
    name: str
    state: str
    reason: str
    serving: int
    """How many instances of earlier revisions are ready."""


class Summary(NamedTuple):
    """How many deployments are in which state, and what is wrong with the newest ones."""

    counts: dict[str, int]
    """By state: `ready`, `pending`, `stopped` and `failed`."""
    problems: list[Problem]
    """At most `MAX_PROBLEMS`."""


def summarize(database: Database, passwords: Passwords | None = None) -> Summary:
    """Summarize the deployments, in a transaction.

    Args:
        database: The database.
        passwords: The passwords of protected endpoints. None: another process may know more secrets, so these are not checked.
    """
    problems = [Problem(**row) for row in database.rows(_PROBLEMS)]
    if passwords:
        problems += _unknown_passwords(database, passwords)
    return Summary(count_states(database), problems[:MAX_PROBLEMS])


def _unknown_passwords(database: Database, passwords: Passwords) -> Iterator[Problem]:
    """Yield the deployments that run although the secret with the password of their endpoint cannot be used any more."""
    for row in database.rows(_SECRET_PASSWORDS):
        if problem := passwords.problem(json.loads(row["security"])):
            reason = (
                f"{problem} Until then, requests to the endpoint get status 401, unless the gateway still has the last "
                "password and they send it."
            )
            yield Problem(row["id"], row["name"], row["state"], reason, row["serving"])


def count_states(database: Database) -> dict[str, int]:
    """Return the number of deployments in each state, in a transaction."""
    return dict.fromkeys(STATES, 0) | {row["state"]: row["total"] for row in database.rows(_COUNTS)}


def deployment_states(database: Database, limit: int = -1) -> list[DeploymentState]:
    """Return the states of the newest deployments, in a transaction; by default of all."""
    return [DeploymentState(*row.values()) for row in database.rows(_STATES, limit)]
