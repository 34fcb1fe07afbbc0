"""SQLite: the database, its migrations and views, pages of rows, and the deployments with their specs."""
