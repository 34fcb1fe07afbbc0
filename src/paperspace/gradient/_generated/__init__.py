# Generated from graphql/ by scripts/regenerate; change that file and run it again.
"""Typed code, generated from the schema and the operations."""
