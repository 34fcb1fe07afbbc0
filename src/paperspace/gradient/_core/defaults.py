"""The defaults, in one place: every signature reads them from here. Imports nothing, as every import of us reads it."""

DEFAULT_API_URL = "https://api.paperspace.com/graphql"

# Seconds for a whole call with its resends; a list has as many for each of its pages.
DEFAULT_TIMEOUT = 30.0

# Resends after the first try.
DEFAULT_MAX_RETRIES = 5

# Bytes of an answer, decompressed.
DEFAULT_MAX_RESPONSE_BYTES = 32 * 1024 * 1024

# Seconds to wait for a deployment: fifteen minutes, as the vendor's own action waited.
DEFAULT_WAIT = 900.0
