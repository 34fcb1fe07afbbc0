"""How a command ends: the exit code, and the paragraph on stderr that says what went wrong and what to do."""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from enum import IntEnum
from typing import TYPE_CHECKING

import click

from paperspace.gradient import errors
from paperspace.gradient.__main__ import INTERRUPTED
from paperspace.gradient.cli._output import printable, tell
from paperspace.gradient.cli._streams import give_up

if TYPE_CHECKING:
    from collections.abc import Callable


class ExitCode(IntEnum):
    """The exit codes, as documented."""

    FINE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    AUTH = 4
    INVALID_SPEC = 5
    DEPLOYMENT_FAILED = 6
    TIMED_OUT = 7
    DIFFERS = 8


# What an error means, most specific first; every other one is FAILED.
_MEANINGS: tuple[tuple[type[Exception], ExitCode], ...] = (
    (errors.InvalidSpecError, ExitCode.INVALID_SPEC),
    (errors.InvalidArgumentError, ExitCode.USAGE),
    (errors.ConfigurationError, ExitCode.USAGE),
    (errors.NotFoundError, ExitCode.NOT_FOUND),
    (errors.AuthenticationError, ExitCode.AUTH),
    (errors.PermissionDeniedError, ExitCode.AUTH),
    (errors.DeploymentFailedError, ExitCode.DEPLOYMENT_FAILED),
    (errors.WaitTimeoutError, ExitCode.TIMED_OUT),
    (errors.APITimeoutError, ExitCode.TIMED_OUT),
)

# What to do where the library's message, made for programs, does not say it.
_ADVICE: tuple[tuple[type[Exception], str], ...] = (
    (errors.APIConnectionError, "`gradient config show` says which address it is"),
    (errors.PermissionDeniedError, "`gradient config show` says where the key comes from"),
    (errors.OutcomeUnknownError, "`gradient deployments list` shows what became of it"),
    (errors.ServerError, "--debug shows the request id to report"),
)

# What the library calls an argument is an option here.
_OPTIONS = {"the argument api_key": "--api-key", "the argument api_url": "--api-url"}

_FACTS = ("operation", "status", "code", "request_id", "attempts", "elapsed", "retry_after", "may_have_executed")


class NoKeyError(click.ClickException):
    """There is no API key anywhere."""

    exit_code = ExitCode.AUTH


def exit_code(run: Callable[[], object], debug: Callable[[], bool]) -> int:
    """Runs something to its end, says what went wrong, and returns the exit code. Nothing gets past it.

    Args:
        run: What to run; a whole number that it returns is the exit code.
        debug: Whether everything is to be told, asked when there is something to tell.
    """
    try:
        code = run()
        sys.stdout.flush()  # while a failure can still be told
    except click.Abort as error:  # at a question: by Ctrl-C, or because there is nobody to answer
        code = INTERRUPTED if isinstance(error.__context__, KeyboardInterrupt) else ExitCode.FAILED
        _end_line()
    except KeyboardInterrupt:
        code = INTERRUPTED
        _end_line()
    except BrokenPipeError:  # whoever read the result has seen enough; click does the same where it notices first
        give_up(sys.stdout)
        return ExitCode.FAILED
    except Exception as error:  # noqa: BLE001  # this is the end of all errors
        with suppress(OSError):
            _tell(error, debug=debug())
        if isinstance(error, OSError) and not isinstance(error, errors.GradientError):
            give_up(sys.stdout)  # it may be what failed: a full disk, say
        return _code(error)
    return code if isinstance(code, int) else ExitCode.FINE


def _end_line() -> None:
    """Leaves the prompt of the shell a line of its own, behind the ^C that the terminal shows."""
    if sys.stderr.isatty():
        tell("")


def _code(error: Exception) -> int:
    if isinstance(error, click.ClickException):
        return error.exit_code
    return next((code for kind, code in _MEANINGS if isinstance(error, kind)), ExitCode.FAILED)


def _tell(error: Exception, *, debug: bool) -> None:
    if debug:
        import traceback

        click.echo(printable("".join(traceback.format_exception(error))), err=True, nl=False)
        for fact in _FACTS if isinstance(error, errors.APIError) else ():
            click.echo(printable(f"{fact}: {getattr(error, fact)}"), err=True)
    if isinstance(error, click.UsageError):
        words = io.StringIO()
        error.show(words)  # with the usage of the command
        tell(words.getvalue().rstrip())
        return
    if isinstance(error, errors.NotFoundError) and error.resource == "deployment":
        tell("Deployment not found")  # the line of the retired client, which scripts look for
    tell(f"Error: {_message(error)}")


def _message(error: Exception) -> str:
    if isinstance(error, errors.GradientError):
        message = str(error.args[0])  # without the facts, which --debug shows
    elif isinstance(error, click.ClickException):
        message = error.format_message()
    elif isinstance(error, OSError):
        message = ": ".join(part for part in (error.filename, error.strerror or str(error)) if part)
    else:
        message = f"a fault of this program, {type(error).__name__}: {error}; --debug shows where"
    for words, option in _OPTIONS.items():
        message = message.replace(words, option)
    advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), None)
    if advice is None:
        return message
    return f"{message} {advice}" if message.endswith("?") else f"{message.removesuffix('.')}; {advice}"
