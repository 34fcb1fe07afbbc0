"""Control of a database: its state, taking its deployments down, and removing containers that it does not know.

The commands of `gradient server` ask the running server through a socket next to the database, which only its owner can
use. If no server runs, they lock the database and do the same themselves.
"""
