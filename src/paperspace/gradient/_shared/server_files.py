"""The names of files next to a server's database: `gradient.db.registries`, for example. They belong to it."""

KEY = "key"
REGISTRIES = "registries"
INSTANCE_TYPES = "instance-types"
SECRETS = "secrets"

LOGS = "logs"
METRICS = "metrics"

# A backup has all of them.
DATABASES = (LOGS, METRICS)
SETTINGS = (KEY, REGISTRIES, INSTANCE_TYPES, SECRETS)
