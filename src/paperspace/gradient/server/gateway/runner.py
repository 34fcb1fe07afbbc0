"""Run Envoy in the place of this process, for a service manager: `gradient server gateway`.

A server with `--external-gateway` writes the configuration and never starts Envoy. So the options of the gateway are
those of the server, and Envoy keeps serving with the files of the last server, whichever of the two is restarted.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

from paperspace.gradient.server.controller.gateway import GatewayUnavailableError
from paperspace.gradient.server.gateway.envoy import LOG, PID, envoy_command, stop_envoy
from paperspace.gradient.server.gateway.folder import RUNNER, locked_folder
from paperspace.gradient.server.gateway.process import keep_old_log
from paperspace.gradient.server.gateway.resources import BOOTSTRAP

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import NoReturn

_INTERVAL = 0.2  # seconds between two checks whether the configuration exists


def run_envoy(folder: Path, program: Path, report: Callable[[str], None]) -> NoReturn:
    """Replace this process by Envoy, as soon as a server has written its configuration.

    Args:
        folder: The files of the gateway, as an absolute path.
        program: The program.
        report: Called with what is waited for, and where the log is.

    Raises:
        GatewayUnavailableError: another process runs the gateway, or Envoy cannot be started.
    """
    bootstrap_file = folder / BOOTSTRAP
    if not bootstrap_file.exists():
        report(f"Waiting for a server with --external-gateway, which writes the configuration in {folder}.")
    while not bootstrap_file.exists():
        time.sleep(_INTERVAL)
    with locked_folder(folder, RUNNER) as lock:
        asyncio.run(stop_envoy(folder))  # one that a server has left running
        report(f"Starting Envoy. Its log is {folder / LOG}.")
        os.umask(0o077)
        try:
            keep_old_log(folder / LOG)
            _redirect(folder / LOG)
            (folder / PID).write_text(f"{os.getpid()}\n", encoding="ascii")
            os.set_inheritable(lock, True)  # Envoy has the lock as long as it runs
            os.execv(program, envoy_command(program, bootstrap_file))  # noqa: S606  # there is no shell
        except OSError as error:
            reason = (error.strerror or str(error)).rstrip(".")
            raise GatewayUnavailableError(f"The gateway cannot be started: {reason}.") from error


def _redirect(log: Path) -> None:
    """Give Envoy no input, write what it prints to its log, and let it handle its signals.

    In the log, the server finds the reason of its end.
    """
    output = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
