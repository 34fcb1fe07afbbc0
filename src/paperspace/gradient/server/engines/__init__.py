"""What runs deployments: the runtime interface, the simulation, and the observed state in the database."""
