"""What only Unix has, removed from the standard library: to run the package as on Windows, without Windows.

The names are those with "Availability: Unix" in the documentation of Python. Modules of the standard library that use them
without asking are imported before.
"""

import asyncio
import concurrent.futures.process  # noqa: F401
import functools
import getpass  # noqa: F401
import logging  # noqa: F401
import multiprocessing  # noqa: F401
import os
import random  # noqa: F401
import runpy
import signal
import socket
import subprocess  # noqa: F401
import sys
import tempfile  # noqa: F401
import threading  # noqa: F401

import _pytest.pathlib  # noqa: F401
import aiohttp  # noqa: F401
import pytest  # noqa: F401

ONLY_ON_UNIX = {
    os: "chown chroot fchdir fchmod fchown fork forkpty getegid geteuid getgid getgroups getpgid getpgrp getpriority getresuid"
    " getsid getuid initgroups killpg lchown mkfifo mknod nice openpty pidfd_open pipe2 posix_fadvise posix_fallocate"
    " posix_spawn pread preadv pwrite register_at_fork sched_getaffinity sched_setaffinity sendfile setgid setpgid setpriority"
    " setsid setuid sync sysconf tcgetpgrp ttyname uname wait wait3 waitid"
    " O_CLOEXEC O_DIRECTORY O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC",
    signal: "SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGUSR1 SIGUSR2 SIGWINCH"
    " alarm pause pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigwait sigwaitinfo",
    socket: "AF_UNIX SO_REUSEPORT recv_fds send_fds",
}
MODULES = ["fcntl", "grp", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"]


def no_signal_handlers(*_arguments: object) -> None:
    """Refuse signal handlers, as the event loops of Windows do."""
    raise NotImplementedError


def main() -> None:
    """Remove what only Unix has, and run a module or a script with arguments."""
    socket.socketpair = functools.partial(socket.socketpair, socket.AF_UNIX)  # Windows has one that asyncio can use
    for module, names in ONLY_ON_UNIX.items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]  # the import fails
    for name in ("add_signal_handler", "remove_signal_handler"):
        setattr(asyncio.SelectorEventLoop, name, no_signal_handlers)
    del sys.argv[0]
    if sys.argv[0] == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
