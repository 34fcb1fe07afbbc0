"""Modules that the client and the server share."""
