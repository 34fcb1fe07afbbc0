"""The run of `gradient server`: start, signals, what it prints, and its end."""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paperspace.gradient._shared.counting import count
from paperspace.gradient._version import __version__
from paperspace.gradient.cli._output import print_message
from paperspace.gradient.cli._service_manager import notify_ready
from paperspace.gradient.cli._signals import notice_ended_children, on_signal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from paperspace.gradient.cli._server_engine import Choice
    from paperspace.gradient.server import LocalServer
    from paperspace.gradient.server.control.listener import ControlListener

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD in malloc.h
_LARGE = 1024**2


async def serve(
    choose: Callable[[], Awaitable[Choice]],
    create: Callable[[Choice], LocalServer],
    ready: Callable[[LocalServer], None],
    console_link: Callable[[], str],
    path: str | Path,
    drain_timeout: float,
) -> None:
    """Run the server until it is stopped. A signal ends the start too, and a second one ends the process at once.

    Args:
        choose: Chooses the engine.
        create: Returns the server.
        ready: Called when the server has started.
        console_link: Returns a link to the console.
        path: The database.
        drain_timeout: The maximum time of active requests when the deployments are taken down, in seconds.
    """
    stop, starting = asyncio.Event(), asyncio.current_task()

    def end() -> None:
        """End the start, which can take long: an engine that does not respond, a large database, the lookup of a host."""
        stop.set()
        if starting:
            starting.cancel()

    notice_ended_children()
    return_large_blocks()
    on_signal(end)
    async with AsyncExitStack() as stack:
        try:
            choice = await choose()
            if choice.engine:
                allow_many_files()
            server = await stack.enter_async_context(create(choice))
            if control := _control(path, server, drain_timeout, stop):
                await stack.enter_async_context(control)
        except asyncio.CancelledError:
            return
        starting = None
        ready(server)
        _introduce(server, choice)
        click.echo(f"Console: {console_link()}")
        notify_ready()
        await stop.wait()
        if not (control and control.took_down):
            await _say_what_remains(server, choice, path)


def allow_many_files() -> None:
    """Raise the limit of open files of this process as far as it can be: to follow the log of a container takes a connection."""
    try:
        import resource
    except ImportError:  # on Windows, which has no such limit
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS has another limit below its hard one
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def return_large_blocks() -> None:
    """Let the C library return each large block of memory when it is freed, as those of large responses.

    glibc keeps blocks of a size that was freed before, behind small ones that are still used: clients that read responses
    of 8 MB slowly made a server keep 1.1 GB instead of 0.3 GB.
    """
    if sys.platform == "linux":
        import ctypes

        with suppress(AttributeError):  # musl has no such setting
            ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE)


def _control(
    path: str | Path, server: LocalServer, drain_timeout: float, stop: asyncio.Event
) -> ControlListener | None:
    """Return the control socket. None: there is none for a database in memory, or on Windows."""
    from paperspace.gradient.server.clock import iso, utc_now
    from paperspace.gradient.server.control.listener import ControlListener
    from paperspace.gradient.server.storage.files import IN_MEMORY

    if str(path) == IN_MEMORY or not hasattr(socket, "AF_UNIX"):
        return None
    facts: dict[str, Any] = {"url": server.url, "version": __version__, "pid": os.getpid(), "since": iso(utc_now())}
    return ControlListener(Path(path), server, facts, drain_timeout, stop.set)


def _introduce(server: LocalServer, choice: Choice) -> None:
    click.echo(choice.line)
    if choice.gateway:
        click.echo(f"Endpoints are at {choice.gateway.endpoint_url('ID')}")
    click.echo(f"Listening on {server.url}")
    # The library reads the first variable, the retired official client the second.
    click.echo(f"export PAPERSPACE_API_URL={server.url} PAPERSPACE_API_HOST={server.url}")
    click.echo(f"export PAPERSPACE_API_KEY={shlex.quote(server.api_key)}")


async def _say_what_remains(server: LocalServer, choice: Choice, path: str | Path) -> None:
    """Say what keeps running without the server, and how to stop it."""
    from paperspace.gradient.server.defaults import default_database
    from paperspace.gradient.server.storage.files import IN_MEMORY

    if server.controlled is None or choice.gateway is None:
        return
    if str(path) == IN_MEMORY:
        print_message(
            "Stopping all deployments. A second Ctrl-C ends the server at once, and leaves their containers running."
        )
        return
    running = await server.controlled.running()
    down = "gradient server down"
    if Path(path) != default_database():
        down += f" --database {shlex.quote(str(path))}"
    if running:
        print_message(
            f"{count(running, 'deployment')} {'keeps' if running == 1 else 'keep'} running, with endpoints at {choice.gateway.endpoint_url('ID')}\n"
            f"Until the server runs again, nothing restarts their containers. `{down}` stops them."
        )
    elif (await choice.gateway.state()).running:
        print_message(f"No deployment runs. The gateway keeps running; `{down}` stops it.")
