"""The process of Envoy: start it, find it again, notice its end, stop it."""

from __future__ import annotations

import asyncio
import os
import re
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_POLL_INTERVAL = 0.1  # seconds, where the system cannot tell the end of a process
_STOP_TIMEOUT = 5.0  # seconds between SIGTERM and SIGKILL
_VERSION_TIMEOUT = 5.0  # seconds until a program says its version
_LOOK_INTERVAL = 0.002  # seconds between two looks at a process without a command line
_MAX_LOOKS = 1000  # a thread of the kernel never has one
MAX_LOG = 1024 * 1024  # bytes
_KEPT_LOG = 64 * 1024  # bytes of a log that became too large

# The shell starts the process in the background, stores its id and ends. So the process has no parent that would have to
# wait for it, and it can be found also if the server is killed meanwhile.
_SCRIPT = """
log=$1 pid=$2
shift 2
"$@" < /dev/null >> "$log" 2>&1 &
echo $! > "$pid" || kill -9 $!
"""

_NOISE = ("There is no configured limit to the number of allowed active downstream connections", "caught ENVOY_SIGTERM")
_LOG_LINE = re.compile(
    r"\[[\d: .-]+\]\[\d+\]\[(warning|error|critical)\]\[(?P<logger>\w+)\] (?:\[[^\]]*\] )?(?P<text>.*)"
)


class Process:
    """A process of Envoy that was found or started. Close it when it is not needed any more; it continues to run."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor: int | None = None
        self._ended = False
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._ended = True
        except (AttributeError, OSError):
            pass  # another system, or an old kernel

    def close(self) -> None:
        """Release the descriptor."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    @property
    def alive(self) -> bool:
        """Whether it runs. A process that is about to end still runs: it may have its port."""
        if not self._ended and self._descriptor is not None:
            self._ended = _is_readable(self._descriptor)
        elif not self._ended:
            self._ended = not _exists(self.pid)
        return not self._ended

    async def wait(self) -> None:
        """Return when it has ended."""
        if self._descriptor is None:
            while self.alive:  # noqa: ASYNC110  # nothing tells its end
                await asyncio.sleep(_POLL_INTERVAL)
            return
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._descriptor)
        self._ended = True
        with suppress(OSError):
            os.waitpid(self.pid, os.WNOHANG)  # noqa: ASYNC222  # the first process of a container is its parent

    async def stop(self) -> None:
        """Stop it. Return when it has ended."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.alive:
                return
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.wait(), _STOP_TIMEOUT)


async def find(pid_file: Path, bootstrap: Path) -> Process | None:
    """Return the process whose id is stored, if it runs with this bootstrap file. None: there is none."""
    pid = _read_pid(pid_file)
    if pid is None:
        return None
    process = Process(pid)
    looks = 0
    while not (command := _command(pid)) and process.alive and looks < _MAX_LOOKS:
        looks += 1  # while a process becomes another program, or ends, it has no command line
        await asyncio.sleep(_LOOK_INTERVAL)
    if process.alive and os.fsencode(bootstrap) in command:
        return process
    process.close()
    return None


async def start(command: Sequence[str], pid_file: Path, bootstrap: Path, log: Path) -> Process | None:
    """Start the process, in a session without a terminal. Return None if it ended right after the start.

    If this is cancelled, the process may run; `find` finds it.

    Raises:
        OSError: there is no shell, or a file cannot be written.
    """
    starting = asyncio.create_task(asyncio.to_thread(_start, command, pid_file, log))
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await starting  # afterwards, its id is stored
        raise
    return await find(pid_file, bootstrap)


def _start(command: Sequence[str], pid_file: Path, log: Path) -> None:
    keep_old_log(log)
    pid_file.unlink(missing_ok=True)
    subprocess.run(  # noqa: S603  # arguments are not part of the script
        ["/bin/sh", "-c", _SCRIPT, "sh", str(log), str(pid_file), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        umask=0o077,
        check=False,
    )


def program_version(pid: int) -> str | None:
    """Return the version that the program of a process has now, perhaps after an upgrade. None: it is unknown."""
    program = os.fsdecode(_command(pid).replace(b"\0", b" ").partition(b" -c ")[0])
    root = f"/proc/{pid}/root"  # of its container, which can be another one, with another program at this path
    try:
        command = [(root if os.access(root, os.X_OK) else "") + program, "--version"]
        found = subprocess.run(command, capture_output=True, check=True, timeout=_VERSION_TIMEOUT)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.decode(errors="replace").partition(" version: ")[2].strip() or None


def keep_old_log(log: Path) -> None:
    """Rename the log of the process before."""
    with suppress(FileNotFoundError):
        log.replace(log.with_name(f"{log.name}.old"))


def limit_log(log: Path) -> None:
    """Keep only the end of a log that has become too large."""
    with suppress(FileNotFoundError):
        if log.stat().st_size > MAX_LOG:
            with log.open("r+b") as stream:
                stream.seek(-_KEPT_LOG, os.SEEK_END)
                end = stream.read()
                stream.seek(0)
                stream.truncate()  # the process appends, so it continues at the new end
                stream.write(end)


def last_words(log: Path) -> str:
    """Return the last message of a log that can explain a failure, without a period. Empty: there is none."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - _KEPT_LOG))
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        match = _LOG_LINE.match(line)
        if match is None and not line.startswith(("[", "#")) and line.strip():
            return line.strip().rstrip(".")
        if match and match["logger"] not in {"backtrace", "envoy_bug"} and not match["text"].startswith(_NOISE):
            return match["text"].strip().rstrip(".")
    return ""


def _read_pid(pid_file: Path) -> int | None:
    try:
        pid = int(pid_file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return pid if pid > 0 else None


def _command(pid: int) -> bytes:
    """Return the command line of a process. Empty: it has none."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""
    command = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, check=False).stdout  # noqa: S603


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
