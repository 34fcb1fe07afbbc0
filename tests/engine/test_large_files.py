"""Files of Git LFS: a repository has pointers to them, and a container gets the files."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from tests.engine.git_server import USER, GitServer
from tests.engine.site import Site
from tests.engine.ssh_server import SshServer
from tests.engine.test_repositories import (
    SERVE,
    _trust,  # noqa: F401  # a fixture
    cloning,
    host,  # noqa: F401  # a fixture
    inside,
    listed,
    remote,
    shown,
    site,  # noqa: F401  # a fixture
    ssh,  # noqa: F401  # a fixture
)
from tests.spec.test_cases import CASES

from paperspace.gradient.deployments import load_spec
from paperspace.gradient.server.controller.engine import CloneError
from paperspace.gradient.server.docker import git as git_module
from paperspace.gradient.server.docker import large_files
from paperspace.gradient.server.docker.clones import Clones
from paperspace.gradient.server.docker.requirements import Settings
from paperspace.gradient.server.secrets import Secret, SecretValues
from paperspace.gradient.server.settings_files import write_settings

anyio = pytest.mark.anyio

WEIGHTS = os.urandom(300_000)
MODEL = "/opt/integrations/translator/translator"  # the path of the integration, and its name


def test_files_of_git_lfs(site: Site, host: GitServer) -> None:  # noqa: F811
    """A container finds the files, not the pointers to them, and all other files as they are in the commit."""
    text = "version https://git-lfs.github.com/spec/v1\nis not always a pointer\n"
    pointer = host.large_file(WEIGHTS)
    host.commit("model", {"weights": pointer, "sub/the same": pointer, "text": text, "empty": "", "link": "->text"})
    repository = {"url": host.url_of("model", "private"), "name": "m", "username": USER, "password": host.password}
    id_ = site.create("model", cloning(repository), wait=True)
    folder = "/opt/repositories/m"
    sizes = inside(
        site, id_, f"cd {folder}; for name in weights 'sub/the same' text empty link; do wc -c < \"$name\"; done"
    )
    assert sizes.split() == ["300000", "300000", str(len(text)), "0", str(len(text))]
    assert inside(site, id_, f"cmp {folder}/weights '{folder}/sub/the same' && cat {folder}/link") == text.strip()


@anyio
async def test_names_and_modes(host: GitServer, tmp_path: Path) -> None:  # noqa: F811
    """Beside a file of Git LFS, names of any length and bytes, modes and content of other files do not change."""
    long = "/".join(["a folder with a long name"] * 10)
    odd = os.fsdecode(b"not UTF-8 \xff\xfe")
    host.commit(
        "names", {f"{long}/run.sh": "#!/bin/sh", odd: "odd", "grüße": "umlaut", "line\nbreak": "two", "weights": "x"}
    )
    (host.folder / "work/names" / long / "run.sh").chmod(0o755)
    host.commit("names", {})
    clones, found = Clones(tmp_path, 10, 60), remote(host.url_of("names"))
    plain = _entries(clones.archive(found, "d", await clones.clone(found, "d", None)))
    host.commit("names", {"weights": host.large_file(WEIGHTS)})
    filled = _entries(clones.archive(found, "d", await clones.clone(found, "d", None)))
    assert filled.pop("opt/app/weights") == (0o644, WEIGHTS)
    assert plain.pop("opt/app/weights") == (0o644, b"x")
    assert filled == plain
    assert plain[f"opt/app/{long}/run.sh"] == (0o755, b"#!/bin/sh")
    assert f"opt/app/{odd}" in plain


def _entries(archive: Path) -> dict[str, tuple[int, bytes | None]]:
    """Return the mode and the content of each entry."""
    with tarfile.open(archive, encoding="utf-8", errors="surrogateescape") as tar:
        return {entry.name: (entry.mode, tar.extractfile(entry).read() if entry.isreg() else None) for entry in tar}  # type: ignore[union-attr]


@anyio
async def test_too_large(host: GitServer, tmp_path: Path) -> None:  # noqa: F811
    """Files that are larger than the limit together are refused before they are downloaded."""
    content = bytes(600_000)
    host.commit("large", {"a": host.large_file(content), "b": host.large_file(content)})
    with pytest.raises(CloneError, match=r"larger than 1 MB, the limit of --repository-limit\."):
        await Clones(tmp_path, 1, 60).clone(remote(host.url_of("large")), "d", None)
    assert listed(tmp_path) == []


@anyio
@pytest.mark.parametrize("size", ["1", "600001"])
async def test_wrong_sizes(host: GitServer, tmp_path: Path, size: str) -> None:  # noqa: F811
    """A pointer with a wrong size is an error: many pointers to one file would make files of any size, whatever the limit."""
    pointer = host.large_file(bytes(600_000)).replace("600000", size)
    host.commit("sizes", {f"sub/{size}": pointer, "sub/again": pointer})
    with pytest.raises(CloneError, match=r"its file 'sub/.*' of Git LFS is missing, or has another size") as caught:
        await Clones(tmp_path, 2, 60).clone(remote(host.url_of("sizes")), "d", None)
    assert caught.value.permanent
    assert listed(tmp_path) == []


@anyio
async def test_ends_of_lines(host: GitServer, tmp_path: Path) -> None:  # noqa: F811
    """A pointer is replaced by the file also if git writes CRLF at the end of its lines."""
    host.commit("crlf", {".gitattributes": "* text eol=crlf", "weights": host.large_file(WEIGHTS)})
    clones, found = Clones(tmp_path, 10, 60), remote(host.url_of("crlf"))
    entries = _entries(clones.archive(found, "d", await clones.clone(found, "d", None)))
    assert entries["opt/app/weights"] == (0o644, WEIGHTS)


@anyio
async def test_cancelled(host: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """A clone that is cancelled while the archive gets the files leaves nothing, and its thread gets the event that stops it."""
    loop = asyncio.get_running_loop()
    begun, ended = asyncio.Event(), asyncio.Event()

    def wait_for_stop(*arguments: Any) -> None:
        loop.call_soon_threadsafe(begun.set)
        if arguments[-1].wait(60):
            loop.call_soon_threadsafe(ended.set)

    monkeypatch.setattr(large_files, "fill", wait_for_stop)
    host.commit("cancelled", {"weights": host.large_file(WEIGHTS)})
    clone = asyncio.create_task(Clones(tmp_path, 10, 60).clone(remote(host.url_of("cancelled")), "d", None))
    await begun.wait()
    clone.cancel()
    await asyncio.wait([clone])
    await asyncio.wait_for(ended.wait(), 30)
    assert listed(tmp_path) == []


def test_stop(tmp_path: Path) -> None:
    """An archive stops to grow in the middle of a file."""
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 10000000000\n".encode()
    archive, filled, file = tmp_path / "archive.tar", tmp_path / "filled.tar", tmp_path / "ab/ab" / ("ab" * 32)
    entry = tarfile.TarInfo("weights")
    entry.size = len(pointer)
    with tarfile.open(archive, "w") as tar:
        tar.addfile(entry, io.BytesIO(pointer))
    file.parent.mkdir(parents=True)
    file.touch()
    os.truncate(file, 10_000_000_000)  # no bytes on the disk
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(large_files.StoppedError):
        large_files.fill(archive, tmp_path, filled, stop)
    assert filled.stat().st_size < 10_000_000_000


def test_memory(tmp_path: Path) -> None:
    """Archives with many files do not need more memory."""
    archive = tmp_path / "archive.tar"
    with tarfile.open(archive, "w") as tar:
        for index in range(5000):
            tar.addfile(tarfile.TarInfo(f"opt/app/{index}"))
    tracemalloc.start()
    try:
        assert large_files.filled_size(archive) is None
        large_files.fill(archive, tmp_path, tmp_path / "filled.tar", threading.Event())
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert len(_entries(tmp_path / "filled.tar")) == 5000


@anyio
async def test_what_fails(host: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """A file that the host does not have, and a missing program, each have a sentence of their own."""
    pointer = host.large_file(b"a file")
    host.commit("missing", {"weights": pointer})
    clones, found = Clones(tmp_path / "clones", 10, 60), remote(host.url_of("missing"))
    removed = host.large_files.popitem()
    with pytest.raises(CloneError, match=r"its host does not have all of its files of Git LFS\.") as caught:
        await clones.clone(found, "d", None)
    assert caught.value.permanent
    host.large_files.update([removed])
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").symlink_to("/usr/bin/git")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(programs))
        with pytest.raises(CloneError, match="git-lfs is not installed on the machine of the server") as caught:
            await clones.clone(found, "d", None)
    assert caught.value.permanent
    assert await clones.clone(found, "d", None)


@anyio
async def test_credentials_are_for_one_host(host: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """A download from another host gets no credentials, also if it asks for them."""
    with GitServer(tmp_path / "other").running() as other:
        both = tmp_path / "certificates.pem"
        both.write_bytes(host.certificate.read_bytes() + other.certificate.read_bytes())
        monkeypatch.setenv("SSL_CERT_FILE", str(both))
        monkeypatch.setattr(host, "large_files_url", other.url)
        host.commit("elsewhere", {"weights": host.large_file(WEIGHTS)})
        other.large_files.update(host.large_files)
        private = remote(host.url_of("elsewhere", "private"), username=USER, password=host.password)
        with pytest.raises(CloneError, match="needs credentials"):
            await Clones(tmp_path / "clones", 10, 60).clone(private, "d", None)
        assert other.requests > 0
        assert other.credentials == []


@anyio
@pytest.mark.parametrize("access", ["public", "private"])
async def test_refused_credentials(
    host: GitServer,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    access: str,
) -> None:
    """Credentials that the host refuses for the files are sent once, and the error says so."""
    monkeypatch.setattr(host, "large_files_password", "another")
    host.commit("refused", {"weights": host.large_file(WEIGHTS)})
    monkeypatch.setattr(host, "refused", 0)
    found = remote(host.url_of("refused", access), username=USER, password=host.password)
    with pytest.raises(CloneError, match=r"refused the credentials: wrong user name, password or token\.") as caught:
        await Clones(tmp_path, 10, 60).clone(found, "d", None)
    assert caught.value.permanent
    assert host.refused == 1


@anyio
async def test_a_host_that_does_not_respond(
    host: GitServer,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host that does not send the list of files is tried again later: git-lfs gives up before the timeout of a clone."""
    seconds = git_module._LARGE_FILES_STALLED
    monkeypatch.setattr(git_module, "_LARGE_FILES_STALLED", 1)
    monkeypatch.setattr(host, "large_files_stalled", 0)
    host.commit("stalled", {"weights": host.large_file(WEIGHTS)})
    with pytest.raises(CloneError, match="timeout") as caught:
        await Clones(tmp_path, 10, 120).clone(remote(host.url_of("stalled")), "d", None)
    assert not caught.value.permanent
    assert 1 < (host.large_files_stalled or 0) < Settings().repository_timeout / seconds


@anyio
async def test_ssh_without_large_files(host: GitServer, ssh: SshServer, tmp_path: Path) -> None:  # noqa: F811
    """A host that sends files of Git LFS only with https has a sentence of its own. git-lfs leaves no files."""
    host.commit("ssh", {"weights": host.large_file(WEIGHTS)})
    write_settings(tmp_path / "secrets", {"key": Secret(ssh.key)})
    url = f"{ssh.url}{host.folder}/repositories/public/ssh"
    found = remote(url, SecretValues(tmp_path / "secrets", {}), password="secret:key")
    before = _sockets()
    with pytest.raises(CloneError, match="does not send its files of Git LFS to clients of ssh") as caught:
        await Clones(tmp_path / "clones", 10, 120).clone(found, "d", None)
    assert caught.value.permanent
    assert _sockets() == before


def _sockets() -> set[Path]:
    """Return the folders that git-lfs creates for connections of ssh."""
    return set(Path("/tmp").glob("sock-*"))  # git gets no TMPDIR


def test_a_spec_file_of_the_hosted_service(site: Site, host: GitServer) -> None:  # noqa: F811
    """The model that a file lists as an integration is in the containers, and its health checks pass."""
    host.commit("translator", {"index.html": host.large_file(b"the model")})
    found: Any = load_spec(CASES / "s02_hf_full.yaml", image="shell:1")
    [repository] = found["repositories"]["repositories"]
    repository["url"] = host.url_of("translator")
    found["command"] = ["/bin/sh", "-c", f"{SERVE.replace('8080', '8000').replace('/opt/repositories', MODEL)}"]
    id_ = site.create("hf-app", found, wait=True)
    assert shown(site, id_, "") == {"the model"}
