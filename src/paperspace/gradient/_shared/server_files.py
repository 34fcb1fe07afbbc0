"""The names of files next to a server's database: `gradient.db.registries`, for example. They belong to it."""

KEY = "key"
REGISTRIES = "registries"
INSTANCE_TYPES = "instance-types"
SECRETS = "secrets"
ENDPOINT_KEY = "endpoint-key"

LOGS = "logs"
METRICS = "metrics"

# A folder with the files of git repositories, which are cloned again if they are missing.
REPOSITORIES = "repositories"

# A backup has all of them.
DATABASES = (LOGS, METRICS)
SETTINGS = (KEY, REGISTRIES, INSTANCE_TYPES, SECRETS, ENDPOINT_KEY)
