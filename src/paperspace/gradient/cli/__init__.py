"""The `gradient` command. It starts in `main`; each subcommand is a module that is imported when it runs."""
