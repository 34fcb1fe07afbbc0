"""Default values of settings. Every signature reads them from here. Imports nothing, so that it costs nothing."""

# The former hosted API, which does not run any more. Its name in an error says that no API URL is set.
DEFAULT_API_URL = "https://api.paperspace.com/graphql"

EXAMPLE_API_URL = "http://127.0.0.1:8600/graphql"

# Seconds for a whole call with its retries. For a list, the timeout applies to each page separately.
DEFAULT_TIMEOUT = 30.0

# Retries after the first attempt.
DEFAULT_MAX_RETRIES = 5

# Bytes of a response, decompressed.
DEFAULT_MAX_RESPONSE_BYTES = 32 * 1024 * 1024

# Seconds between two polls of a wait or a log. They are shorter at first.
DEFAULT_MAX_POLL_INTERVAL = 5.0

# Seconds to wait for a deployment: fifteen minutes, as the vendor's own action did.
DEFAULT_WAIT = 900.0
