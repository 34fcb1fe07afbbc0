"""The program git: how it is run, without any settings of this machine, and with limits of time and size."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient._shared.daemon_threads import in_daemon_thread
from paperspace.gradient._shared.private_files import write_private
from paperspace.gradient.server.docker.remotes import Credentials, PrivateKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from paperspace.gradient.server.docker.remotes import Remote

_INTERVAL = 0.1  # seconds between two looks at the size of a folder, at least
_MAX_MESSAGE = 64 * 1024  # bytes of what git writes

# Variables that git gets from the server: how to reach hosts, and which certificates to trust.
_KEPT = (
    *("PATH", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSH_AUTH_SOCK"),
    *(name for proxy in ("https_proxy", "all_proxy", "no_proxy") for name in (proxy, proxy.upper())),
)
_RENAMED = {"SSL_CERT_FILE": "GIT_SSL_CAINFO", "SSL_CERT_DIR": "GIT_SSL_CAPATH"}  # as other programs call them

# Seconds of ssh, of https and of git-lfs without any progress. git-lfs waits up to nine times as long before it gives up.
_SSH = "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=30 -o ServerAliveInterval=15 -o ClearAllForwardings=yes"
_STALLED = 60
_LARGE_FILES_STALLED = 20

REFUSED = "Authentication failed"
"""What the messages of git have when the host refused the credentials."""

_CONFIG = """\
[core]
    repositoryFormatVersion = 0
    bare = true
    hooksPath = /dev/null
[gc]
    auto = 0
[protocol]
    version = 2
[tar]
    umask = 0022
[http]
    lowSpeedLimit = 1
    lowSpeedTime = {stalled}
[lfs]
    activityTimeout = {large_files_stalled}
[lfs "transfer"]
    maxRetries = 2
[lfs "ssh"]
    autoMultiplex = false
[remote "origin"]
    url = {url}
[credential]
    helper =
"""
# git asks for credentials only if the host is this one, also after a redirection. When the host refuses them, the helper
# forgets them: git-lfs would send them again without end.
_HELPER = """\
[credential {host}]
    helper = {helper}
"""

# All files are exported as they are in the commit.
_ATTRIBUTES = "* -export-ignore -export-subst\n"


class GitError(Exception):
    """git has failed; the text is what it wrote."""


class GitMissingError(Exception):
    """The program does not exist."""


class TooLargeError(Exception):
    """A folder has become larger than its limit."""


class Repository(NamedTuple):
    """An empty repository in a folder, connected to a remote one."""

    folder: Path
    environment: Mapping[str, str]
    limit: int
    """Bytes of the folder."""

    async def run(self, *arguments: str, output: Path | None = None) -> bytes:
        """Run git, and return what it writes. It is cancelled with all its processes.

        Args:
            arguments: The arguments of git.
            output: Where to write the output, in a folder of its own, with the same limit. Then nothing is returned.

        Raises:
            GitError: it has failed.
            GitMissingError: there is no git.
            TooLargeError: a folder has become too large.
        """
        written, messages = output or self.folder / "output", self.folder / "messages"
        command = ["git", f"--git-dir={self.folder}", *arguments]
        messages.write_bytes(bytes(_MAX_MESSAGE))  # so that git can say that the disk is full
        with written.open("wb") as stdout, messages.open("r+b") as stderr:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    env=self.environment,
                    cwd=self.folder,
                    start_new_session=True,
                )
            except FileNotFoundError as error:
                raise GitMissingError from error
        try:
            await self._wait(process, written.parent)
        finally:
            await _end(process)
        if process.returncode:
            raise GitError(_tail(messages))
        return b"" if output else written.read_bytes()

    async def _wait(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        """Return when a process has ended.

        Raises:
            TooLargeError: a folder has become too large.
        """
        loop = asyncio.get_running_loop()
        ended = asyncio.ensure_future(process.wait())
        interval = _INTERVAL
        try:
            while not (await asyncio.wait({ended}, timeout=interval))[0]:
                start = loop.time()
                await in_daemon_thread(_check_size, folder, self.limit)
                interval = max(_INTERVAL, loop.time() - start)  # thousands of files of Git LFS take seconds
        finally:
            ended.cancel()
        await in_daemon_thread(_check_size, folder, self.limit)


def open_repository(folder: Path, remote: Remote, limit: int, environment: Mapping[str, str]) -> Repository:
    """Create an empty repository, in a folder that only its owner can read. No command line has the credentials.

    Args:
        folder: An empty folder, for the repository and for the credentials.
        remote: The repository to fetch from.
        limit: Bytes of the repository.
        environment: The variables of the server.
    """
    repository = folder / "repository"
    for name in ("objects", "refs", "info"):
        (repository / name).mkdir(parents=True)
    (repository / "HEAD").write_text("ref: refs/heads/none\n", encoding="ascii")
    (repository / "info/attributes").write_text(_ATTRIBUTES, encoding="ascii")
    config = _CONFIG.format(url=_quoted(remote.url), stalled=_STALLED, large_files_stalled=_LARGE_FILES_STALLED)
    ssh = _SSH
    secret_file = folder / "secret"
    match remote.secret:
        case Credentials(username, password):
            write_private(secret_file, f"username={username}\npassword={password}\n")
            file = shlex.quote(str(secret_file))
            get = f"cat {file} 2>/dev/null || echo 'fatal: {REFUSED}' >&2"
            helper = f'!f() {{ case "$1" in get) {get} ;; erase) rm -f {file} ;; esac; }}; f'
            config += _HELPER.format(host=_quoted(remote.host), helper=_quoted(helper))
        case PrivateKey(text):
            write_private(secret_file, text)
            ssh += f" -o IdentitiesOnly=yes -i {shlex.quote(str(secret_file))}"
    (repository / "config").write_text(config, encoding="utf-8")
    return Repository(repository, git_environment(environment, folder, ssh), limit)


def git_environment(server: Mapping[str, str], home: Path, ssh: str) -> dict[str, str]:
    """Return the variables of git.

    Args:
        server: Those of the server.
        home: A folder without settings. ssh does not look here, but in the home folder of the user.
        ssh: The command line of ssh.
    """
    kept = {new: server[name] for name, new in _RENAMED.items() if server.get(name)}
    kept |= {name: server[name] for name in _KEPT if server.get(name)}
    return {
        **kept,
        "HOME": str(home),
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": "https:ssh",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_SSH_COMMAND": ssh,
        "GIT_TERMINAL_PROMPT": "0",
    }


def commit_of(refs: bytes, ref: str | None) -> str | None:
    """Return the commit of a ref in the output of `git ls-remote`: of a branch, or else of a tag. None: there is none."""
    lines = [line.partition("\t") for line in refs.decode(errors="replace").splitlines()]
    commits = {name: commit for commit, _, name in lines}
    return next((commits[name] for name in ref_names(ref) if name in commits), None)


def ref_names(ref: str | None) -> Sequence[str]:
    """Return the full names that a ref may have, in the order in which they count. None is the default branch."""
    if ref is None:
        return ["HEAD"]
    # An annotated tag is an object of its own; the name with ^{} is that of its commit.
    full = [ref] if ref.startswith("refs/") else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
    return [name for entry in full for name in (f"{entry}^{{}}", entry)]


def _quoted(text: str) -> str:
    """Return a value for a file with settings."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _check_size(folder: Path, limit: int) -> None:
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # temporary files of git
                size += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118  # there may be many
    if size > limit:
        raise TooLargeError


def kill_in(folder: Path) -> None:
    """Kill the processes that work in a folder, as git does, if this machine shows them in `/proc`."""
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):  # it has ended, or belongs to another user
            if link.readlink().is_relative_to(folder):
                os.kill(int(link.parent.name), signal.SIGKILL)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process that still runs, and those that it has started, such as ssh."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        await process.wait()


def _tail(file: Path) -> str:
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - _MAX_MESSAGE))
        return stream.read().rstrip(b"\0").decode(errors="replace")
