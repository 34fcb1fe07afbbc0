"""Output: results on standard output, messages on standard error, and streams that are closed or broken."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from paperspace.gradient._shared.yaml_text import yaml_text
from paperspace.gradient.cli._commands import common_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from rich.console import Console

# Control characters, lone surrogates, line separators and bidirectional marks can change what a terminal shows.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_OUTPUT_ERRORS = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EAGAIN}

_STREAM_MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}  # in the order of their file descriptors


# --------------------------------------------------------------------------------------------------------------- results


def output_option(*formats: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option `--output`, which selects one of the formats."""
    return click.option("--output", "-o", type=click.Choice(formats), help="The output format, for scripts.")


def print_data(data: object, output: str) -> None:
    """Print plain data as JSON or YAML."""
    click.echo(data_text(data, output))


def data_text(data: object, output: str) -> str:
    """Return plain data as JSON or YAML. Characters that could change what the terminal shows are escaped."""
    unicode = _stdout_is_unicode()
    if output != "yaml":
        import json

        text = json.dumps(data, indent=2, ensure_ascii=not unicode)
        return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    text = yaml_text(data, allow_unicode=unicode).removesuffix("\n")
    return yaml_text(data, allow_unicode=False).removesuffix("\n") if _UNSAFE.search(text) else text


def print_change(text: str) -> None:
    """Print the result of a change that was made.

    If nothing reads standard output any more, as after `| head -1`, the command continues with its other changes. If it
    cannot be written to, as on a full disk, the command continues too, and results go to standard error.
    """
    options = common_options()
    if not options.output_failed:
        try:
            click.echo(text)
        except BrokenPipeError:
            redirect_to_null(sys.stdout)
        except OSError as error:
            redirect_to_null(sys.stdout)
            options.output_failed = True
            print_message(f"Cannot write to standard output: {error.strerror}. The results are:")
    if options.output_failed:
        print_message(text)


def _stdout_is_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


# -------------------------------------------------------------------------------------------------------------- messages


def print_message(text: str, *, label: str = "") -> None:
    """Print a message on standard error, wrapped to the width of a terminal, behind a label that may be colored.

    If standard error cannot be written to, the command continues without messages.
    """
    text = printable(text)
    try:
        # With err=True, click would write past a progress bar, which has replaced sys.stderr.
        click.echo(label + (wrap(text) if sys.stderr.isatty() else text), file=sys.stderr)
    except OSError:
        redirect_to_null(sys.stderr)


def wrap(text: str) -> str:
    """Wrap lines between words to the width of the terminal; continuation lines are indented."""
    import shutil
    import textwrap

    wrapper = textwrap.TextWrapper(shutil.get_terminal_size().columns, break_long_words=False, break_on_hyphens=False)
    lines = text.splitlines()
    for index, line in enumerate(lines):
        wrapper.subsequent_indent = line[: len(line) - len(line.lstrip())] + "  "
        lines[index] = wrapper.fill(line)
    return "\n".join(lines)


def printable(text: str) -> str:
    """Replace characters that could change what the terminal shows, such as escape sequences."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)


def is_plain_terminal() -> bool:
    """Return whether TERM names a terminal without escape sequences."""
    return os.environ.get("TERM", "").lower() in {"dumb", "unknown"}


def may_color() -> bool:
    """Return whether colors are wanted on a terminal. click removes them where the output is no terminal."""
    return not is_plain_terminal() and not os.environ.get("NO_COLOR")


def terminal_console(*, stderr: bool = False) -> Console:
    """Return the console of rich for the terminal, which prints text as it is.

    It takes `COLUMNS=0` and `LINES=0` for unknown, as `shutil.get_terminal_size` does. By itself, rich would show nothing.
    """
    from rich.console import Console

    unknown = {("COLUMNS", "0"), ("LINES", "0")}
    environment = {name: value for name, value in os.environ.items() if (name, value) not in unknown}
    return Console(stderr=stderr, markup=False, highlight=False, _environ=environment)


# --------------------------------------------------------------------------------------------------------------- streams


def replace_missing_streams() -> None:
    """Open the null device for each standard stream that was closed before the process started.

    It takes the file descriptor of the stream too. Otherwise, the next socket or database file would get that
    descriptor, and output would be written into it.
    """
    for descriptor, (name, mode) in enumerate(_STREAM_MODES.items()):
        if getattr(sys, name) is None:
            _open_null(descriptor)
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  # it stays open


def buffer_streams() -> None:
    """Give standard output and error the buffers that `PYTHONUNBUFFERED` and `python -u` take away.

    Without a buffer, Python drops the rest of a text that is not written at once, and reports nothing: on a full disk, or if
    Ctrl-Z stops the process meanwhile. Each line is still written immediately.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and isinstance(stream.buffer, io.RawIOBase):
            buffered = open(  # noqa: SIM115  # it stays open
                stream.fileno(), "w", buffering=1, encoding=stream.encoding, errors=stream.errors, closefd=False
            )
            setattr(sys, name, buffered)


def is_output_error(error: OSError) -> bool:
    """Return whether this is the error of a write to standard output: such an error names no file."""
    return error.filename is None and error.errno in _OUTPUT_ERRORS


def redirect_to_null(stream: TextIO) -> None:
    """Discard further output to a broken stream. Its last flush at exit would fail and change the exit code."""
    with suppress(OSError, ValueError, AttributeError):
        _open_null(stream.fileno())


def _open_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
