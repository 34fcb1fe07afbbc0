"""The group of commands `gradient deployments`, and the modules of its commands."""

from paperspace.gradient.cli._lazy_group import LazyCommand, LazyGroup

_PACKAGE = "paperspace.gradient.cli.deployments"
_SUBCOMMANDS = {
    "apply": LazyCommand(
        f"{_PACKAGE}.spec_files", "apply", "Create or update deployments, so that they match their spec files."
    ),
    "create": LazyCommand(f"{_PACKAGE}.mutations", "create", "Create a deployment."),
    "delete": LazyCommand(f"{_PACKAGE}.mutations", "delete", "Delete one or more deployments."),
    "diff": LazyCommand(f"{_PACKAGE}.spec_files", "diff", "Show what `apply` would change, without changing it."),
    "events": LazyCommand(
        f"{_PACKAGE}.monitoring", "events", "List the events of a deployment by time, the last one at the end."
    ),
    "get": LazyCommand(f"{_PACKAGE}.queries", "get", "Show a deployment with all its revisions, newest first."),
    "history": LazyCommand(f"{_PACKAGE}.changes", "history", "List the revisions of a deployment, newest first."),
    "list": LazyCommand(f"{_PACKAGE}.queries", "list_", "List deployments, newest first."),
    "logs": LazyCommand(
        f"{_PACKAGE}.monitoring", "logs", "Print the log lines of all instances of a deployment, sorted by time."
    ),
    "open": LazyCommand(
        f"{_PACKAGE}.queries", "open_", "Print the endpoint of a deployment, and open it in a browser."
    ),
    "restart": LazyCommand(
        f"{_PACKAGE}.changes", "restart", "Start new replicas with the same spec, as a new revision."
    ),
    "rollback": LazyCommand(f"{_PACKAGE}.changes", "rollback", "Deploy an earlier revision again, as a new revision."),
    "scale": LazyCommand(f"{_PACKAGE}.changes", "scale", "Change the number of replicas of a deployment."),
    "start": LazyCommand(f"{_PACKAGE}.changes", "start", "Start a stopped deployment."),
    "status": LazyCommand(
        f"{_PACKAGE}.status",
        "status",
        "Show the state of a deployment: its replicas, endpoint, instances, and what is wrong.",
    ),
    "stop": LazyCommand(f"{_PACKAGE}.changes", "stop", "Stop all replicas of a deployment."),
    "top": LazyCommand(f"{_PACKAGE}.monitoring", "top", "Show what deployments use, and which requests they get."),
    "update": LazyCommand(f"{_PACKAGE}.update", "update", "Update the spec, cluster, name or project of a deployment."),
    "validate": LazyCommand(f"{_PACKAGE}.spec_files", "validate", "Validate a spec file, without sending it."),
    "wait": LazyCommand(
        f"{_PACKAGE}.monitoring", "wait", "Wait until the newest revision is ready, or the deployment is stopped."
    ),
}

command = LazyGroup(
    "deployments",
    lazy_commands=_SUBCOMMANDS,
    help="""Create, update, inspect and delete deployments.

    \b
    Example:
      gradient deployments list --project-id p1
    """,
)
