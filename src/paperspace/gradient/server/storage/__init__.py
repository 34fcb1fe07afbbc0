"""SQLite: the database, its migrations, and the rows of deployments."""
