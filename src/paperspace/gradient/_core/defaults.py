"""Default values of settings, and what a timeout is. Imports nothing that Python has not loaded, so that it costs nothing."""

import sys

# The former hosted API, which does not run any more. Its name in an error says that no API URL is set.
DEFAULT_API_URL = "https://api.paperspace.com/graphql"

EXAMPLE_API_URL = "http://127.0.0.1:8600/graphql"

# Seconds for a whole call with its retries. For a list, the timeout applies to each page separately.
DEFAULT_TIMEOUT = 30.0

# Retries after the first attempt.
DEFAULT_MAX_RETRIES = 5

# Bytes of a response, decompressed.
DEFAULT_MAX_RESPONSE_BYTES = 32 * 1024 * 1024

# Seconds to wait for a deployment: fifteen minutes, as the vendor's own action did.
DEFAULT_WAIT = 900.0


def is_timeout(value: object) -> bool:
    """Return whether a value is a number of seconds above 0. Infinity is one; integers that exceed all floats are not."""
    return isinstance(value, int | float) and (0 < value <= sys.float_info.max or value == float("inf"))
