"""The demo: the documented calls, one by one, as a user would type them, with their results.

They run against a server that simulates deployments, with a database in memory. With Docker, a deployment in a container
follows.
"""
