"""The group of commands `gradient deployments`."""

from paperspace.gradient.cli._commands import Group

command = Group(
    "deployments",
    help="""Create, update, inspect and delete deployments.

    \b
    Example:
      gradient deployments list --project-id p1
    """,
)
