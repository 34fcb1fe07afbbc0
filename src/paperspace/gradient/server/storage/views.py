"""Views of the current state.

A runtime may date events in advance, so the tables of instances, states, log lines, events and scales can contain rows of
the future.
These views leave out what has not happened yet and derive the rest. Time therefore passes without a background task,
also while the server is down.

The states and lines of an instance are numbered in the order of their times. Instances that are not
removed are selected by `removal > now()`, which has an index: `never` is later than any time.

They are temporary views, created for each connection, because only our connections have the function `now()`.
"""

from __future__ import annotations

VIEWS = (
    """
    CREATE TEMP VIEW states_now AS
    SELECT * FROM instance_states WHERE timestamp <= now()
    """,
    """
    CREATE TEMP VIEW instances_now AS
    SELECT
        instances.seq, instances.id, run_id, deployment_id, spec_id, instance_id, dt_created, template,
        latest.state,
        latest.message AS state_message,
        CASE
            WHEN latest.phase = 'Failed' THEN 'Failed'
            WHEN dt_deleted <= now() THEN 'Succeeded'
            ELSE latest.phase
        END AS phase,
        (
            SELECT timestamp FROM states_now
            WHERE deployment_run_instance_id = instances.id AND phase = 'Running' ORDER BY seq LIMIT 1
        ) AS dt_started,
        CASE
            WHEN latest.phase = 'Failed' THEN latest.timestamp
            WHEN dt_deleted <= now() THEN dt_deleted
        END AS dt_finished,
        CASE WHEN dt_deleted <= now() THEN dt_deleted END AS dt_deleted,
        coalesce(dt_deleted, 'never') AS removal,
        CASE WHEN dt_deleted <= now() THEN dt_deleted ELSE latest.timestamp END AS external_applied
    FROM instances LEFT JOIN instance_states AS latest ON latest.seq = (
        SELECT max(seq) FROM states_now WHERE deployment_run_instance_id = instances.id
    )
    WHERE instances.dt_created <= now()
    """,
    """
    CREATE TEMP VIEW scales_now AS
    SELECT deployment_id, spec_id, replicas FROM scales
    WHERE seq = (SELECT max(seq) FROM scales AS latest WHERE latest.spec_id = scales.spec_id AND latest.dt_created <= now())
    """,
    """
    CREATE TEMP VIEW runs_now AS
    SELECT
        seq, id, rollout_id, deployment_id, spec_id, dt_created,
        nullif(max(
            coalesce((SELECT max(external_applied) FROM instances_now WHERE run_id = runs.id AND removal > now()), ''),
            coalesce((SELECT max(removal) FROM instances_now WHERE run_id = runs.id AND removal <= now()), '')
        ), '') AS dt_modified,
        CASE WHEN NOT EXISTS (SELECT 1 FROM instances_now WHERE run_id = runs.id AND removal > now()) THEN
            coalesce(
                (SELECT max(removal) FROM instances_now WHERE run_id = runs.id AND removal <= now()),
                -- A run without instances, because they moved to a newer run or were never added, ended when it was replaced.
                (
                    SELECT newer.external_applied FROM deployment_specs
                    JOIN deployment_specs AS newer USING (deployment_id)
                    WHERE deployment_specs.id = runs.spec_id AND newer.seq > deployment_specs.seq
                        AND newer.external_applied IS NOT NULL
                    ORDER BY newer.seq LIMIT 1
                )
            )
        END AS dt_deleted,
        -- With autoscaling, as many as it has decided on, or more while some still end their requests.
        max(
            (SELECT count(*) FROM instances_now WHERE run_id = runs.id AND removal > now()),
            coalesce((SELECT replicas FROM scales_now WHERE spec_id = runs.spec_id), 0)
        ) AS replicas,
        (
            SELECT count(*) FROM instances_now WHERE run_id = runs.id AND removal > now() AND state = 'healthy'
        ) AS ready_replicas
    FROM runs
    """,
    """
    CREATE TEMP VIEW logs_now AS
    SELECT
        seq, id, deployment_id, spec_id, template, instance_id AS instance_name, dt_created,
        dt_started AS instance_started,
        -- A failed instance of an engine may still run for a moment, and write lines. The simulation has no templates.
        CASE WHEN template IS NULL THEN dt_finished ELSE dt_deleted END AS instance_stopped
    FROM instances_now
    """,
    """
    CREATE TEMP VIEW lines_now AS
    SELECT
        log_lines.seq, deployment_run_instance_id, line, message, log_lines.dt_created,
        deployment_id, spec_id AS deployment_spec_id, instance_id AS instance_name
    FROM log_lines JOIN instances ON instances.id = deployment_run_instance_id
    WHERE log_lines.dt_created <= now()
    """,
    """
    CREATE TEMP VIEW events_now AS
    SELECT * FROM deployment_events AS event
    WHERE dt_last <= now() AND NOT EXISTS (
        SELECT 1 FROM deployment_events AS again WHERE again.id = event.id AND again.seq > event.seq AND again.dt_last <= now()
    )
    """,
)
