"""Default values of settings. Every signature reads them from here. Imports nothing, so that it costs nothing."""

DEFAULT_API_URL = "https://api.paperspace.com/graphql"

# Seconds for a whole call with its retries. Each page of a list has the same timeout.
DEFAULT_TIMEOUT = 30.0

# Retries after the first attempt.
DEFAULT_MAX_RETRIES = 5

# Bytes of a response, decompressed.
DEFAULT_MAX_RESPONSE_BYTES = 32 * 1024 * 1024

# Seconds to wait for a deployment: fifteen minutes, as the vendor's own action did.
DEFAULT_WAIT = 900.0
