"""The exit codes of the command."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes, as documented in docs/command-line.md."""

    SUCCESS = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    AUTHENTICATION = 4
    INVALID_SPEC = 5
    DEPLOYMENT_FAILED = 6
    TIMED_OUT = 7
    DIFFERENT = 8
    INTERRUPTED = 130  # by Ctrl-C: 128 plus the number of SIGINT, as in shells
    TERMINATED = 143  # by SIGTERM: 128 plus its number
