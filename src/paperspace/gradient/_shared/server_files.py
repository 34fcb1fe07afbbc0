"""The names of small files next to a server's database: `gradient.db.registries`, for example. They belong to it."""

KEY = "key"
REGISTRIES = "registries"
INSTANCE_TYPES = "instance-types"
SECRETS = "secrets"

# A backup has all of them.
ALL = (KEY, REGISTRIES, INSTANCE_TYPES, SECRETS)
