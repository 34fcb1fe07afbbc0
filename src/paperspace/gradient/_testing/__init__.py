"""What the pytest plugin gives to tests: a local server that they control."""
