"""Specs: check one, compare two, and read one from a file."""
