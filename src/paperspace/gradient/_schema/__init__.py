"""Compares schemas: what changed, and which functions break."""
