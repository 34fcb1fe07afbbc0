"""Errors of commands: their exit codes, and their messages on standard error."""

from __future__ import annotations

import io
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from paperspace.gradient import errors
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli._output import is_output_error, print_message, printable, redirect_to_null

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperspace.gradient.cli._commands import CommonOptions

# The exit codes of errors, the most specific class first. All others are FAILED.
_EXIT_CODES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (errors.InvalidSpecError, ExitCode.INVALID_SPEC),
    (errors.InvalidArgumentError, ExitCode.USAGE),
    (errors.MissingAPIKeyError, ExitCode.AUTHENTICATION),
    (errors.ConfigurationError, ExitCode.USAGE),
    (errors.NotFoundError, ExitCode.NOT_FOUND),
    (errors.AuthenticationError, ExitCode.AUTHENTICATION),
    (errors.PermissionDeniedError, ExitCode.AUTHENTICATION),
    (errors.DeploymentFailedError, ExitCode.DEPLOYMENT_FAILED),
    (errors.WaitTimeoutError, ExitCode.TIMED_OUT),
    (errors.APITimeoutError, ExitCode.TIMED_OUT),
)

# What to do about an error, in terms of the command line. The messages of the library do not say it.
_HINTS: tuple[tuple[type[Exception], str], ...] = (
    (
        errors.MissingAPIKeyError,
        "`gradient server` starts a local server, which needs no account, and prints its API key",
    ),
    (
        errors.AuthenticationError,
        "paste the export lines of `gradient server`, or start it with --save-config; `gradient config show` shows the key's origin",
    ),
    (errors.APIConnectionError, "`gradient config show` shows the API URL and where it comes from"),
    (errors.PermissionDeniedError, "`gradient config show` shows where the API key comes from"),
    (
        errors.OutcomeUnknownError,
        "`gradient deployments list` and `gradient deployments history NAME` show whether the change was applied",
    ),
    (errors.ServerError, "--debug shows the request id; report it with the error"),
)

_MISSING_API_KEY = "no API key: pass --api-key, set PAPERSPACE_API_KEY, or store one with `gradient apiKey KEY`"

# As other commands call an option of `--output`.
_FORMATS = {"--json", "--yaml"}

# Options of the deployments of the official client 1.x. Specs and a few options of other names replace them.
_OPTIONS_OF_1X = re.compile(
    "--(apiType|auth(Password|Username)|containerModelPath|containerUrlPath|(createO|o)ptionsFile|deploymentType|dockerArgs|"
    "endpointUrlPath|image(Password|Server|Url|Username)|((max|min)I|i)nstanceCount|machineType|metric|modelId|ports|"
    "scaleCooldownPeriod|state|workspace)"
)

_DETAILS = ("operation", "status", "code", "request_id", "attempts", "elapsed", "retry_after", "may_have_executed")


def exit_code(function: Callable[[], object], options: CommonOptions) -> int:
    """Run a function, print its error if it fails, and return the exit code. No exception passes.

    Args:
        function: The function to run. An integer that it returns is the exit code.
        options: The options of the command line, as they are when the function ends.
    """
    try:
        code = function()
        sys.stdout.flush()  # here, where an error can still be reported
    except click.Abort as error:  # a prompt ended by Ctrl-C, or by the end of the input
        code = ExitCode.INTERRUPTED if isinstance(error.__context__, KeyboardInterrupt) else ExitCode.FAILED
        _end_line(error.__context__)
    except KeyboardInterrupt as interrupt:
        code = ExitCode.INTERRUPTED
        _end_line(interrupt)
    except BrokenPipeError:  # the reader of the output is gone, which is no error to report
        redirect_to_null(sys.stdout)
        return ExitCode.FAILED
    except Exception as error:  # noqa: BLE001  # every error ends here
        with suppress(OSError):
            print_error(error, debug=options.debug)
        if isinstance(error, OSError) and not isinstance(error, errors.GradientError):
            redirect_to_null(sys.stdout)  # which may be the stream that failed, for example on a full disk
        return code_of(error)
    code = code if isinstance(code, int) else ExitCode.SUCCESS
    return code or (ExitCode.FAILED if options.output_failed else ExitCode.SUCCESS)


def _end_line(interrupt: BaseException | None) -> None:
    """Begin a new line after the ^C on the terminal, for the prompt of the shell, and print the notes of the interrupt."""
    if sys.stderr.isatty():
        print_message("")
    for note in getattr(interrupt, "__notes__", ()):
        print_message(note)


def code_of(error: Exception) -> int:
    """Return the exit code of an error."""
    if isinstance(error, click.ClickException):
        return error.exit_code
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), ExitCode.FAILED)


def print_error(error: Exception, *, debug: bool) -> None:
    """Print an error with its hint; with debug, also its traceback and details."""
    if debug:
        import traceback

        click.echo(printable("".join(traceback.format_exception(error))), err=True, nl=False)
        for detail in _DETAILS if isinstance(error, errors.APIError) else ():
            click.echo(printable(f"{detail}: {getattr(error, detail)}"), err=True)
    if isinstance(error, click.UsageError):
        if isinstance(error, click.NoSuchOption) and error.option_name in _FORMATS and _has_output(error.ctx):
            format_ = error.option_name.removeprefix("--")
            error = click.NoSuchOption(error.option_name, possibilities=[f"--output {format_}"], ctx=error.ctx)
        elif isinstance(error, click.NoSuchOption) and _OPTIONS_OF_1X.fullmatch(error.option_name):
            text = f"{error.option_name} is an option of `gradient` 1.x. Here, the spec file and the options of --help replace it."
            error = click.UsageError(text, error.ctx)
        usage = io.StringIO()
        error.show(usage)
        print_message(usage.getvalue().rstrip())
        return
    message, hint = _message_and_hint(error)
    print_message(f"Error: {message}")
    if hint:
        print_message(f"Hint: {hint}")


def _has_output(context: click.Context | None) -> bool:
    return context is not None and any(parameter.name == "output" for parameter in context.command.params)


def _message_and_hint(error: Exception) -> tuple[str, str | None]:
    hint = next((hint for kind, hint in _HINTS if isinstance(error, kind)), None)
    match error:
        case errors.MissingAPIKeyError():
            return _MISSING_API_KEY, hint
        case errors.DeploymentFailedError(status={"id": id_, "serving": {"specId": str(spec_id)}}):
            command = f"gradient deployments rollback {id_} --to {spec_id}"
            return str(error.args[0]), f"an earlier revision still serves; to deploy it again, run `{command}`"
        case errors.GradientError():
            return str(error.args[0]), hint  # str(error) would add the details that --debug shows
        case click.ClickException():
            return error.format_message(), None
        case OSError():
            where = "cannot write to standard output" if is_output_error(error) else error.filename
            return ": ".join(part for part in (where, error.strerror or str(error)) if part), None
        case _:
            return (
                f"internal error: {type(error).__name__}: {error}",
                "--debug shows the traceback; report it with the error",
            )
