"""Files of repositories, as archives on this machine: what a commit has, without its history and without git's own files.

Each archive can be removed at any time; it is then cloned again. Of each repository, those of all containers are kept, so that
they can be replaced while the host does not respond, and the two that were used last, for a rollback.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import tempfile
import weakref
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from paperspace.gradient._shared.daemon_threads import in_daemon_thread
from paperspace.gradient.server.controller.engine import CloneError
from paperspace.gradient.server.docker.clone_errors import clone_error, permanent, unknown_ref
from paperspace.gradient.server.docker.git import (
    GitError,
    GitMissingError,
    Repository,
    TooLargeError,
    commit_of,
    kill_in,
    open_repository,
    ref_names,
)
from paperspace.gradient.server.docker.large_files import add_large_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable

    from paperspace.gradient.server.docker.remotes import Remote

_KEPT = 2  # archives of each repository, if no container needs more
_MAX_CLONES = 4  # of a host at the same time; one that does not respond must not make others wait
_WORK = ".clone-"  # what the names of folders with clones that are not finished start with
_DEPLOYMENT = "deployment-"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MEGABYTE = 1000 * 1000


def owner_of(deployment_id: str, dataset: str | None = None) -> str:
    """Return what the archives of a deployment belong to: its dataset, or else the deployment itself."""
    return f"dataset-{dataset}" if dataset else f"{_DEPLOYMENT}{deployment_id}"


def deployments_of(owners: Iterable[str]) -> list[str]:
    """Return the ids of the deployments among the owners of archives."""
    return [owner.removeprefix(_DEPLOYMENT) for owner in owners if owner.startswith(_DEPLOYMENT)]


class Clones:
    """Clone repositories, and keep the archives.

    Args:
        folder: Where the archives are. None: in a temporary folder, which is removed at the end of the process.
        limit: Megabytes of the download of a repository, and of its files.
        timeout: Seconds for a clone.
    """

    def __init__(self, folder: Path | None, limit: int, timeout: float) -> None:
        self._folder = folder
        self._limit = limit
        self._timeout = timeout
        self._cleaned = False
        self._hosts: weakref.WeakValueDictionary[str, asyncio.Semaphore] = weakref.WeakValueDictionary()
        self._locks: weakref.WeakValueDictionary[Path, asyncio.Lock] = weakref.WeakValueDictionary()

    async def clone(self, remote: Remote, owner: str, commit: str | None) -> str:
        """Make sure that the archive of a repository is present, and return its commit.

        Args:
            remote: The repository.
            owner: What the archive belongs to: a deployment or a dataset.
            commit: The commit. None: the one that the ref of the repository has now.

        Raises:
            CloneError: it cannot be cloned.
        """
        stem = self._stem(remote, owner)
        lock = self._locks.setdefault(stem, asyncio.Lock())
        if commit and _use(_archive(stem, commit)):
            return commit  # without waiting for other clones, whose host may not respond
        slots = self._hosts.setdefault(remote.host, asyncio.Semaphore(_MAX_CLONES))
        async with lock, slots:  # another replica may need the same one
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._clone(remote, stem, commit)
            except TimeoutError as error:
                raise permanent(
                    remote, f"this takes longer than {self._timeout:g} s, the limit of --repository-timeout."
                ) from error
            except GitMissingError as error:
                raise permanent(
                    remote,
                    "the program git is not installed on the machine of the server. Install it, for example with "
                    "`apt-get install git`.",
                ) from error
            except TooLargeError as error:
                raise permanent(
                    remote, f"it is larger than {self._limit} MB, the limit of --repository-limit."
                ) from error
            except OSError as error:
                reason = (error.strerror or str(error)).rstrip(".")
                raise clone_error(remote, f"error: {self._folder}: {reason}") from error

    async def clean(self) -> None:
        """End and remove the clones of a server that was killed, with the credentials in their folders.

        Only the first call does something.
        """
        if self._folder and not self._cleaned:
            self._cleaned = True
            for left in self._folder.glob(f"{_WORK}*"):
                await in_daemon_thread(_remove_left, left)

    def archive(self, remote: Remote, owner: str, commit: str) -> Path:
        """Return the archive of a commit. Its paths begin with the path of the repository in the container."""
        return _archive(self._stem(remote, owner), commit)

    def remove_unused(self, remote: Remote, owner: str, in_use: Collection[str]) -> None:
        """Remove the archives of a repository that were not used for the longest time, and that no container needs.

        Args:
            remote: The repository.
            owner: What the archives belong to: a deployment or a dataset.
            in_use: The commits of all containers.
        """
        stem = self._stem(remote, owner)
        needed = {_archive(stem, commit) for commit in in_use}
        files = sorted(stem.parent.glob(f"{stem.name}-*.tar"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in files[_KEPT:]:
            if file not in needed:
                with suppress(OSError):
                    file.unlink()

    async def owners(self) -> list[str]:
        """Return what archives belong to: deployments and datasets."""
        return await in_daemon_thread(_names, self._folder) if self._folder else []

    async def forget(self, owner: str) -> None:
        """Remove the archives of an owner."""
        if self._folder:
            await in_daemon_thread(shutil.rmtree, self._folder / owner, ignore_errors=True)

    def _stem(self, remote: Remote, owner: str) -> Path:
        """Return the path of the archives of a repository, without the commit."""
        key = hashlib.sha256(f"{remote.url}\0{remote.path}".encode()).hexdigest()[:16]
        return self._root() / owner / key

    def _root(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="gradient-repositories-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    async def _clone(self, remote: Remote, stem: Path, commit: str | None) -> str:
        async with self._work_folder() as folder:
            repository = open_repository(folder, remote, self._limit * _MEGABYTE, os.environ)
            found = commit or await _resolve(repository, remote)
            while True:
                try:
                    await _store(repository, remote, found, _archive(stem, found), folder)
                except CloneError as error:
                    if commit or not error.permanent:
                        raise
                    newest = await _resolve(repository, remote)
                    if newest == found:
                        raise
                    found = newest  # the branch was replaced since, and the host may not have the commit any more
                else:
                    return found

    @asynccontextmanager
    async def _work_folder(self) -> AsyncIterator[Path]:
        """Yield a new folder, which is removed at the end."""
        folder = _new_folder(self._root())
        try:
            yield folder
        finally:
            await in_daemon_thread(shutil.rmtree, folder, ignore_errors=True)


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:  # there are no archives yet
        return []


def _remove_left(folder: Path) -> None:
    kill_in(folder.resolve())
    shutil.rmtree(folder, ignore_errors=True)


def _new_folder(root: Path) -> Path:
    """Create a folder that only its owner can read, on the same disk as the archives."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=_WORK, dir=root)).resolve()


async def _resolve(repository: Repository, remote: Remote) -> str:
    """Return the commit that the ref of a repository has now."""
    try:
        refs = await repository.run("ls-remote", "--quiet", "--", "origin", *ref_names(remote.ref))
    except GitError as error:
        raise clone_error(remote, str(error)) from error
    if commit := commit_of(refs, remote.ref):
        return commit
    if remote.ref and _COMMIT.fullmatch(remote.ref.lower()):
        return remote.ref.lower()
    raise unknown_ref(remote)


async def _store(repository: Repository, remote: Remote, commit: str, file: Path, folder: Path) -> None:
    """Make sure that an archive of a commit is present. A new one is first written to a folder."""
    if _use(file):
        return
    await _fetch(repository, remote, commit)
    new = folder / "archive" / file.name
    new.parent.mkdir(exist_ok=True)
    await _export(repository, remote, commit, new)
    new = await add_large_files(repository, remote, commit, new)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    await in_daemon_thread(_sync, new)
    new.replace(file)


def _sync(file: Path) -> None:
    """Wait until a file is on the disk. Otherwise, a part of it can be missing after a power failure, and no one would notice."""
    with file.open("r+b") as stream:
        os.fsync(stream.fileno())


async def _fetch(repository: Repository, remote: Remote, commit: str) -> None:
    """Fetch a commit without its history; if the host does not allow that, all branches and tags."""
    options = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-auto-gc")
    try:
        try:
            await repository.run("fetch", *options, "--depth=1", "--", "origin", commit)
        except GitError as error:
            if "unadvertised object" not in str(error):
                raise
            await repository.run(
                "fetch", *options, "--", "origin", "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"
            )
    except GitError as error:
        raise clone_error(remote, str(error), commit) from error


async def _export(repository: Repository, remote: Remote, commit: str, file: Path) -> None:
    """Write the files of a commit to an archive."""
    try:
        names = await repository.run("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit)
        if any(b".." in name.split(b"/") for name in names.split(b"\0") if b".." in name):
            raise permanent(remote, "the path of a file in it has `..`.")
        await repository.run("archive", "--format=tar", f"--prefix={remote.path[1:]}/", commit, output=file)
    except GitError as error:
        raise clone_error(remote, str(error), commit) from error


def _archive(stem: Path, commit: str) -> Path:
    return stem.with_name(f"{stem.name}-{commit}.tar")


def _use(file: Path) -> bool:
    """Note that an archive is used, and return whether it exists."""
    try:
        os.utime(file)
    except OSError:
        return False
    return True
