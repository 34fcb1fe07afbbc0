"""Engines that run deployments: the interface, and the simulation."""
