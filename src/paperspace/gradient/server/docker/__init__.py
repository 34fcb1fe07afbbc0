"""The Docker engine: runs containers on this machine. Needs the extra `docker`."""
