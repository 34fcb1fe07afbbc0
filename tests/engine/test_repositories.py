"""Git repositories: cloned from real hosts, pinned, and copied into containers."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine.git_server import USER, GitServer, git
from tests.engine.private_engine import PrivateEngine
from tests.engine.site import Site, page, running_site, spec, wait_for
from tests.engine.ssh_server import SshServer, ssh_server
from tests.engine.test_command import GRADIENT, environment, running

from paperspace.gradient.server.controller.engine import CloneError, Repository, Workload
from paperspace.gradient.server.docker import clones as clones_module
from paperspace.gradient.server.docker import git as git_module
from paperspace.gradient.server.docker.clones import Clones, deployments_of, owner_of
from paperspace.gradient.server.docker.remotes import Remote, remotes
from paperspace.gradient.server.docker.requirements import Settings
from paperspace.gradient.server.secrets import Secret, SecretValues
from paperspace.gradient.server.settings_files import write_settings

anyio = pytest.mark.anyio

# Serves the folder of the repositories.
SERVE = "httpd -p 8080 -h /opt/repositories; trap 'exit 0' TERM; sleep 1000000 & wait"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with GitServer(tmp_path_factory.mktemp("git")).running() as server:
        server.commit("app", {"index.html": "first", "sub/run.sh": "#!/bin/sh", "link": "->sub/run.sh"}, tag="v1")
        server.commit("app", {"index.html": "second"})
        server.commit("app", {"index.html": "of dev"}, "dev")
        yield server


@pytest.fixture(autouse=True)
def _trust(host: GitServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the certificate of the host, and no other."""
    for name in ("GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(host.certificate))


@pytest.fixture
def site(docker: PrivateEngine, tmp_path: Path) -> Iterator[Site]:
    settings = Settings(repositories=tmp_path / "repositories", secrets_file=tmp_path / "secrets")
    with running_site(docker, tmp_path, settings) as site:
        yield site


def cloning(*repositories: dict[str, Any], **fields: Any) -> Any:
    """Return a spec with repositories."""
    script = fields.pop("script", SERVE)
    return spec("app", script=script, repositories={"repositories": list(repositories), **fields})


def shown(site: Site, id_: str, path: str) -> set[str]:
    """Return what the containers of a deployment serve."""
    return {page(port, path) for port in site.ports(id_)}


def inside(site: Site, id_: str, script: str) -> str:
    """Run a script in the container of a deployment, and return its output."""
    (container,) = site.containers(id_)
    return site.docker.docker("exec", container["id"], "/bin/sh", "-c", script).stdout.strip()


def remote(url: str, secrets: SecretValues | None = None, **fields: Any) -> Remote:
    values = {"name": "app", "ref": None, "username": None, "password": None, "path": "/opt/app"} | fields
    workload = Workload("i", None, 80, (), (), None, None, repositories=(Repository(url=url, **values),))
    [found] = remotes(workload, secrets or SecretValues(None, {}))
    return found


def listed(folder: Path) -> list[str]:
    """Return the names of the files in a folder."""
    return [path.name for path in folder.iterdir()]


def names_in(archive: Path) -> list[str]:
    return subprocess.run(["tar", "-tf", archive], capture_output=True, text=True, check=True).stdout.split()


def processes_of(folder: Path) -> list[bytes]:
    """Return the command lines of the processes that work in a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.readlink().is_relative_to(folder):
                found.append(entry.with_name("cmdline").read_bytes())
        except OSError:
            continue
    return found


# In containers


def test_the_files_of_a_repository(site: Site, host: GitServer) -> None:
    """A container finds the files of the default branch, as they are in the commit, and nothing of git."""
    url = host.url_of("app")
    id_ = site.create("app", cloning({"url": url, "name": "app"}), wait=True)
    assert shown(site, id_, "app/index.html") == {"second"}
    listed = inside(site, id_, 'cd /opt/repositories/app; echo $(echo * .*); cat link; test -w index.html && echo "w"')
    assert listed == "index.html link sub . ..\n#!/bin/shw"
    (event,) = [event for event in site.api.get_deployment_events(id_) if event["reason"] == "Cloned"]
    assert (
        event["message"]
        == f"The containers of this revision have commit {git(host.folder / 'work/app', 'rev-parse', 'main')[:12]} of app."
    )


def test_refs_paths_and_credentials(site: Site, host: GitServer, tmp_path: Path) -> None:
    """Several repositories are below `mountPath`, each with its ref, and with credentials from fields, a secret or the URL."""
    write_settings(tmp_path / "secrets", {"token": Secret(host.password)})
    first = git(host.folder / "work/app", "rev-parse", "v1^{commit}")
    url, private = host.url_of("app"), host.url_of("app", "private")
    repositories = [
        {"url": url, "name": "a", "ref": "dev"},
        {"url": url, "name": "b", "ref": "v1"},
        {"url": url, "name": "c", "ref": first},
        {"url": url, "name": "d", "ref": "refs/heads/main"},
        {"url": private, "name": "e", "username": USER, "password": host.password},
        {"url": private, "name": "f", "username": USER, "password": "secret:token"},
        {"url": host.url_of("app", "private", f"{USER}:{host.password}@"), "name": "g"},
    ]
    script = SERVE.replace("/opt/repositories", "/srv/code")
    id_ = site.create("app", cloning(*repositories, mountPath="/srv/code/", script=script), wait=True)
    found = [shown(site, id_, f"{name}/index.html") for name in "abcdefg"]
    assert found == [{"of dev"}, {"first"}, {"first"}, {"second"}, {"second"}, {"second"}, {"second"}]


def test_commits_are_pinned(site: Site, host: GitServer) -> None:
    """Another replica and a container after a crash have the same commit; a restart of the deployment has the newest one."""
    host.commit("pinned", {"index.html": "1"})
    id_ = site.create("app", cloning({"url": host.url_of("pinned"), "name": "app"}), wait=True)
    host.commit("pinned", {"index.html": "2"})
    site.api.scale_deployment(id_, 2)
    site.ready(id_)
    site.docker.docker("kill", site.containers(id_)[0]["id"])
    site.until(id_, lambda _: len(site.ports(id_)) == 2 and shown(site, id_, "app/index.html") == {"1"})
    site.api.restart_deployment(id_, wait=True)
    site.until(id_, lambda _: len(site.ports(id_)) == 2 and shown(site, id_, "app/index.html") == {"2"})


def test_host_that_is_down(site: Site, host: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that ends is replaced without the host, also by the next server."""
    id_ = site.create("app", cloning({"url": host.url_of("app"), "name": "app"}), wait=True)
    requests = host.requests
    site.docker.docker("kill", site.containers(id_)[0]["id"])
    site.until(id_, lambda _: shown(site, id_, "app/index.html") == {"second"})
    site.stop()
    monkeypatch.setenv("PATH", str(tmp_path))  # without git
    site.docker.docker("rm", "--force", site.containers(id_)[0]["id"])
    site.start()
    site.until(id_, lambda _: shown(site, id_, "app/index.html") == {"second"})
    assert host.requests == requests


def test_clones_are_removed_with_the_deployment(site: Site, host: GitServer, tmp_path: Path) -> None:
    """What is stored for a deployment is removed with it; what is stored under the name of a dataset is kept."""
    folder = tmp_path / "repositories"
    repository = {"url": host.url_of("app"), "name": "app"}
    ids = [
        site.create("a", cloning(repository), wait=True),
        site.create("b", cloning(repository, dataset="code"), wait=True),
    ]
    assert {path.name for path in folder.iterdir()} == {f"deployment-{ids[0]}", "dataset-code"}
    assert folder.stat().st_mode & 0o777 == 0o700
    for id_ in ids:
        site.api.delete_deployment(id_)
    wait_for(lambda: [path.name for path in folder.iterdir()] == ["dataset-code"])
    assert len(list((folder / "dataset-code").iterdir())) == 1


def test_a_clone_that_fails(site: Site, host: GitServer) -> None:
    """The revision's error says why, and the old container serves on."""
    id_ = site.create("app", cloning({"url": host.url_of("app"), "name": "app"}), wait=True)
    url = host.url_of("app", user="ada:p4ssw0rd@")
    site.api.update_deployment(id=id_, spec=cloning({"url": url, "name": "app", "ref": "v9"}))
    status = site.until(id_, lambda status: status["error"] is not None)
    assert status["error"] == (
        f"Repository app ({host.url_of('app')}) cannot be cloned: it has no branch and no tag v9. If this is the id of a "
        "commit, write the whole id."
    )
    assert shown(site, id_, "app/index.html") == {"second"}


def test_links_do_not_lead_out_of_the_container(site: Site, host: GitServer, tmp_path: Path) -> None:
    """Links in a repository stay links in the container. Files that would be written behind one are refused."""
    outside = tmp_path / "outside"
    outside.mkdir()
    host.commit("links", {"absolute": f"->{outside}", "relative": "->../../../../../../etc", "index.html": "links"})
    work = host.folder / "work/links"
    file = git(work, "rev-parse", "HEAD:index.html")
    tree = _tree(work, f"100644 blob {file}\tescaped")
    link = git(work, "rev-parse", "HEAD:absolute")
    both = _tree(
        work, f"100644 blob {file}\tindex.html", f"120000 blob {link}\tabsolute", f"040000 tree {tree}\tabsolute"
    )
    commit = git(work, "commit-tree", "-m", "both", both)
    git(work, "push", "--quiet", str(host.folder / "repositories/public/links"), f"{commit}:refs/heads/both")
    id_ = site.create("app", cloning({"url": host.url_of("links"), "name": "app"}), wait=True)
    assert inside(site, id_, "cd /opt/repositories/app; test -h absolute && test -h relative && echo links") == "links"
    site.api.update_deployment(id=id_, spec=cloning({"url": host.url_of("links"), "name": "app", "ref": "both"}))
    site.until(id_, lambda status: "The files of a repository cannot be copied into the container" in str(status))
    assert list(outside.iterdir()) == []


def _tree(work: Path, *entries: str) -> str:
    """Make a tree, also one that git itself would not make."""
    text = "".join(f"{entry}\n" for entry in entries)
    done = subprocess.run(["git", "-C", work, "mktree"], input=text, capture_output=True, text=True, check=True)
    return done.stdout.strip()


# From hosts


@anyio
async def test_files_that_git_archives_otherwise(host: GitServer, tmp_path: Path) -> None:
    """Attributes of the repository do not leave out or change files."""
    files = {".gitattributes": "a export-ignore\nb export-subst\n", "a": "a", "b": "$Format:%H$"}
    commit = host.commit("attributes", files)
    found = remote(host.url_of("attributes"))
    clones = Clones(tmp_path, 10, 60)
    assert await clones.clone(found, "d", None) == commit
    archive = clones.archive(found, "d", commit)
    assert set(names_in(archive)) == {"opt/app/", "opt/app/.gitattributes", "opt/app/a", "opt/app/b"}
    assert b"$Format:%H$" in archive.read_bytes()
    assert listed(tmp_path) == ["d"]


@anyio
@pytest.mark.parametrize(
    ("access", "user", "fields", "message"),
    [
        ("public", "", {"ref": "v9"}, "it has no branch and no tag v9"),
        ("public", "", {"ref": "0" * 40}, f"it has no commit {'0' * 40}, or not any more"),
        ("private", "", {}, "it does not exist, or needs credentials. Set `username` and `password`."),
        ("private", "ada:p4ssw0rd@", {}, "refused the credentials: wrong user name, password or token."),
        ("private", "", {"username": "ada", "password": "p4ssw0rd"}, "refused the credentials"),
        ("secret", "ada:p4ssw0rd@", {}, "the credentials do not give access to it."),
        ("nosuch", "ada:lovelace@", {}, "it does not exist, or the credentials do not give access to it."),
        ("plain", "ada:p4ssw0rd@", {}, "it redirects to a URL that is not https."),
    ],
    ids=["ref", "commit", "none", "url", "fields", "forbidden", "missing", "redirect"],
)
async def test_what_fails(
    host: GitServer, tmp_path: Path, access: str, user: str, fields: dict[str, Any], message: str
) -> None:
    """Each failure has a sentence of its own, without the password, and leaves nothing behind."""
    with pytest.raises(CloneError) as caught:
        await Clones(tmp_path, 10, 60).clone(remote(host.url_of("app", access, user), **fields), "d", None)
    assert f"Repository app ({host.url_of('app', access)}) cannot be cloned: " in str(caught.value)
    assert message in str(caught.value)
    assert caught.value.permanent
    assert "p4ssw0rd" not in str(caught.value)
    assert listed(tmp_path) == []


@anyio
async def test_an_empty_repository(host: GitServer, tmp_path: Path) -> None:
    """A repository without a commit is a sentence of its own."""
    git(host.folder, "init", "--quiet", "--bare", str(host.folder / "repositories/public/empty"))
    with pytest.raises(CloneError, match="it is empty, or has no default branch"):
        await Clones(tmp_path, 10, 60).clone(remote(host.url_of("empty")), "d", None)


@anyio
async def test_too_large(host: GitServer, tmp_path: Path) -> None:
    """A large download is ended, and so are files that are large without compression; the message names the option."""
    blob = os.urandom(1_500_000).hex()
    host.commit("large", {"blob": blob})
    host.commit("zeros", {"zeros": "0" * 1_500_000})
    for name in ("large", "zeros"):
        with pytest.raises(CloneError, match="it is larger than 1 MB, the limit of --repository-limit") as caught:
            await Clones(tmp_path, 1, 60).clone(remote(host.url_of(name)), "d", None)
        assert caught.value.permanent
    assert listed(tmp_path) == []


@anyio
async def test_the_size_is_measured_beside_the_loop(
    host: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server goes on while the size of a repository is measured: that of 50,000 files of Git LFS takes seconds."""
    loop = asyncio.get_running_loop()

    def check(_: Path, limit: int) -> None:
        goes_on = threading.Event()
        loop.call_soon_threadsafe(goes_on.set)
        assert goes_on.wait(30), limit

    monkeypatch.setattr(git_module, "_check_size", check)
    await Clones(tmp_path, 10, 600).clone(remote(host.url_of("app")), "d", None)


@anyio
async def test_too_slow(host: GitServer, tmp_path: Path) -> None:
    """A clone that takes too long is ended, with all its processes, and the message names the option."""
    with pytest.raises(CloneError, match=r"takes longer than 0\.5 s, the limit of --repository-timeout"):
        await Clones(tmp_path, 10, 0.5).clone(remote(host.url_of("app", "stalled")), "d", None)
    wait_for(lambda: processes_of(tmp_path) == [])  # they are killed, and end a moment later
    assert listed(tmp_path) == []


@anyio
async def test_cancelled(host: GitServer, tmp_path: Path) -> None:
    """A clone that is cancelled ends with all its processes."""
    clone = asyncio.create_task(Clones(tmp_path, 10, 60).clone(remote(host.url_of("app", "stalled")), "d", None))
    while len(processes_of(tmp_path)) < 2:  # noqa: ASYNC110  # git, and what it has started
        await asyncio.sleep(0.02)
    clone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await clone
    wait_for(lambda: processes_of(tmp_path) == [])  # they are killed, and end a moment later
    assert listed(tmp_path) == []


@anyio
async def test_without_git(host: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If git is not installed, the message says so."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CloneError, match="the program git is not installed") as caught:
        await Clones(tmp_path, 10, 60).clone(remote(host.url_of("app")), "d", None)
    assert caught.value.permanent


@anyio
async def test_certificates(host: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with an unknown certificate is refused, and the message says what to set."""
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(CloneError, match=r"certificate of localhost:\d+ is not trusted. Set SSL_CERT_FILE"):
        await Clones(tmp_path, 10, 60).clone(remote(host.url_of("app")), "d", None)


@anyio
async def test_a_host_that_does_not_respond(tmp_path: Path) -> None:
    """If the host cannot be reached, another attempt may succeed."""
    with pytest.raises(CloneError, match=r"cannot be cloned: .*onnect") as caught:
        await Clones(tmp_path, 10, 60).clone(remote("https://127.0.0.1:1/a"), "d", None)
    assert not caught.value.permanent


@anyio
async def test_credentials_are_for_one_host(host: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redirection to another host is followed without the credentials."""
    with GitServer(tmp_path / "other").running() as other:
        host.other = other.url
        both = tmp_path / "certificates.pem"
        both.write_bytes(host.certificate.read_bytes() + other.certificate.read_bytes())
        monkeypatch.setenv("SSL_CERT_FILE", str(both))
        redirected = remote(host.url_of("app", "away"), username=USER, password="p4ssw0rd")
        with pytest.raises(CloneError, match="needs credentials"):
            await Clones(tmp_path / "c", 10, 60).clone(redirected, "d", None)
        assert other.requests > 0
        assert other.credentials == []


@anyio
async def test_settings_of_the_machine_do_not_count(
    host: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither settings nor credentials of the user, nor variables of git, change what is cloned."""
    home = tmp_path / "home"
    home.mkdir()
    used = tmp_path / "used"
    (home / ".gitconfig").write_text(
        f'[url "https://127.0.0.1:1/"]\n insteadOf = {host.url}\n[credential]\n helper = "!touch {used}; false"\n'
    )
    (home / ".netrc").write_text(f"machine localhost login {USER} password {host.password}\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", "/nosuch")
    monkeypatch.setenv("GIT_ASKPASS", f"touch {used}")
    clones = Clones(tmp_path / "c", 10, 60)
    assert await clones.clone(remote(host.url_of("app")), "d", None)
    with pytest.raises(CloneError, match="needs credentials"):
        await clones.clone(remote(host.url_of("app", "private")), "d", None)
    assert not used.exists()


@anyio
async def test_replicas_clone_once(host: GitServer, tmp_path: Path) -> None:
    """Replicas that start at the same time share one clone; a commit that is present needs no host."""
    clones = Clones(tmp_path, 10, 60)
    found = remote(host.url_of("app"))
    commits = await asyncio.gather(*(clones.clone(found, "d", None) for _ in range(3)))
    assert len(set(commits)) == 1
    requests = host.requests
    assert await clones.clone(found, "d", commits[0]) == commits[0]
    assert host.requests == requests
    clones.archive(found, "d", commits[0]).unlink()
    assert await clones.clone(found, "d", commits[0]) == commits[0]  # cloned again, by its id
    assert clones.archive(found, "d", commits[0]).exists()


@anyio
async def test_a_host_that_stalls(host: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clones from a host that does not respond make nothing wait that does not need it: what is present, and other hosts."""
    clones = Clones(tmp_path / "clones", 10, 60)
    found = remote(host.url_of("app"))
    commit = await clones.clone(found, "d", None)
    with GitServer(tmp_path / "other").running() as other:
        expected = other.commit("app", {"index.html": "x"})
        both = tmp_path / "certificates.pem"
        both.write_bytes(host.certificate.read_bytes() + other.certificate.read_bytes())
        monkeypatch.setenv("SSL_CERT_FILE", str(both))
        monkeypatch.setattr(host, "stalls", True)
        repositories = [found, *(remote(host.url_of(f"app{number}")) for number in range(9))]
        stalled = [asyncio.create_task(clones.clone(repository, "d", None)) for repository in repositories]
        try:
            async with asyncio.timeout(30):
                while len(processes_of(tmp_path / "clones")) < 4:  # noqa: ASYNC110  # git, of several clones
                    await asyncio.sleep(0.02)
                assert await clones.clone(found, "d", commit) == commit
                assert await clones.clone(remote(other.url_of("app")), "d", None) == expected
        finally:
            for task in stalled:
                task.cancel()
            await asyncio.gather(*stalled, return_exceptions=True)


@anyio
async def test_a_branch_that_is_replaced(host: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a branch is replaced while it is cloned, and the host has removed its commit, its new commit is cloned."""
    host.commit("replaced", {"index.html": "1"})
    work, bare = host.folder / "work/replaced", host.folder / "repositories/public/replaced"
    fetch = clones_module._fetch
    fetched: list[str] = []

    async def replace_first(repository: object, found: Remote, commit: str) -> None:
        if not fetched:
            git(work, "commit", "--quiet", "--amend", "--message", "another")
            git(work, "push", "--quiet", "--force", str(bare), "main")
            git(bare, "reflog", "expire", "--expire=now", "--all")
            git(bare, "gc", "--quiet", "--prune=now")
        fetched.append(commit)
        await fetch(repository, found, commit)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(clones_module, "_fetch", replace_first)
    clones, found = Clones(tmp_path, 10, 60), remote(host.url_of("replaced"))
    commit = await clones.clone(found, "d", None)
    assert fetched == [fetched[0], commit]
    assert fetched[0] != commit == git(work, "rev-parse", "main")
    with pytest.raises(CloneError, match="it has no commit"):
        await clones.clone(found, "d", fetched[0])  # a pinned commit is never replaced


@anyio
async def test_clones_of_a_killed_server(host: GitServer, tmp_path: Path) -> None:
    """When a server starts, nothing is left of the clones of a killed one: no files, no credentials and no processes."""
    stalled = remote(host.url_of("app", "stalled", f"{USER}:{host.password}@"))
    clone = asyncio.create_task(Clones(tmp_path / "clones", 10, 60).clone(stalled, "d", None))
    async with asyncio.timeout(30):
        while len(processes_of(tmp_path)) < 2:  # noqa: ASYNC110  # git, and what it has started
            await asyncio.sleep(0.02)
    left = shutil.copytree(tmp_path / "clones", tmp_path / "left")
    await Clones(tmp_path / "clones", 10, 60).clean()
    with pytest.raises(CloneError):  # git was killed
        await asyncio.wait_for(clone, 30)
    assert host.password in "".join(path.read_text() for path in left.rglob("secret"))
    (left / "deployment-1").mkdir()
    clones = Clones(left, 10, 60)
    await clones.clean()
    assert listed(left) == ["deployment-1"]
    (left / ".clone-now").mkdir()
    await clones.clean()  # after a reconnection to the engine
    assert (left / ".clone-now").exists()


def test_down_after_a_kill(docker: PrivateEngine, host: GitServer, tmp_path: Path) -> None:
    """After the server was killed, `gradient server down` leaves nothing of its clones: no credentials and no processes."""
    url = host.url_of("app", "stalled")
    repository = {"name": "app", "url": url, "username": USER, "password": host.password}
    with running(docker.url, tmp_path) as command:
        command.client.deployments.create_deployment("app", "p", cloning(repository))
        wait_for(lambda: len(processes_of(tmp_path)) >= 2)  # git, and what it has started
        command.process.kill()
    assert [path for path in tmp_path.rglob("secret") if host.password in path.read_text()]
    down = [*GRADIENT, "server", "down"]
    subprocess.run(down, check=True, env=environment(docker.url, tmp_path), capture_output=True)
    assert not list(tmp_path.rglob("secret"))
    wait_for(lambda: not processes_of(tmp_path))  # they were killed, and end soon


@anyio
async def test_what_is_kept(host: GitServer, tmp_path: Path) -> None:
    """The archives of the last two commits of a repository are kept, and those of containers; a name of a dataset belongs to all who use it."""
    found, other = remote(host.url_of("changing")), remote(host.url_of("app"))
    clones = Clones(tmp_path, 10, 60)
    await clones.clone(other, "d", None)
    commits = []
    for number in range(3):
        host.commit("changing", {"index.html": str(number)})
        commits.append(await clones.clone(found, "d", None))
        await clones.clone(found, "d", commits[0])
        clones.remove_unused(found, "d", [])
    kept = [clones.archive(found, "d", commit).exists() for commit in commits]
    assert kept == [True, False, True]  # the first one is used all the time
    assert len(listed(tmp_path / "d")) == 3
    for number in range(3, 6):
        host.commit("changing", {"index.html": str(number)})
        commits.append(await clones.clone(found, "d", None))
        clones.remove_unused(found, "d", [commits[0]])
    kept = [clones.archive(found, "d", commit).exists() for commit in commits]
    assert kept == [True, False, False, False, True, True]  # a container runs the first one
    await clones.forget("d")
    await clones.forget("nosuch")
    assert listed(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder with room for 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@anyio
async def test_a_disk_that_is_full(host: GitServer, small_disk: Path) -> None:
    """The error says so, also if git could not write that to the disk. Nothing is left of the clone."""
    host.commit("random", {"index.html": ""})
    (host.folder / "work/random/data").write_bytes(random.randbytes(3_000_000))
    host.commit("random", {"index.html": "x"})
    with pytest.raises(CloneError, match="No space left on device") as caught:
        await Clones(small_disk, 10, 60).clone(remote(host.url_of("random")), "d", None)
    assert not caught.value.permanent
    assert listed(small_disk) == []
    (small_disk / "other").write_bytes(bytes(1000 * 1024))
    with pytest.raises(CloneError, match="No space left on device"):
        await Clones(small_disk, 10, 60).clone(remote(host.url_of("app")), "d", None)


@anyio
async def test_an_archive_is_on_the_disk(host: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive gets its name after all of it was written to the disk: after a power failure, it is complete or missing."""
    found, clones = remote(host.url_of("app")), Clones(tmp_path, 10, 60)
    written: list[tuple[int, int, list[str]]] = []

    def sync(descriptor: int) -> None:
        details = os.fstat(descriptor)
        written.append((details.st_ino, details.st_size, listed(tmp_path / "d")))

    monkeypatch.setattr(os, "fsync", sync)
    archive = clones.archive(found, "d", await clones.clone(found, "d", None))
    assert written == [(archive.stat().st_ino, archive.stat().st_size, [])]


@anyio
async def test_whose_archives_there_are(host: GitServer, tmp_path: Path) -> None:
    """The deployments with archives are known, also to a new server; a dataset is not one of them."""
    found = remote(host.url_of("app"))
    clones = Clones(tmp_path / "repositories", 10, 60)
    assert await clones.owners() == []
    for owner in (owner_of("1"), owner_of("2", "shared")):
        await clones.clone(found, owner, None)
    assert deployments_of(await Clones(tmp_path / "repositories", 10, 60).owners()) == ["1"]
    assert await Clones(None, 10, 60).owners() == []


@anyio
async def test_paths_that_lead_out(host: GitServer, tmp_path: Path) -> None:
    """A repository with a path that leads out of its folder is refused."""
    host.commit("dots", {"index.html": "x"})
    work = host.folder / "work/dots"
    inner = _tree(work, f"100644 blob {git(work, 'rev-parse', 'HEAD:index.html')}\tescaped")
    commit = git(work, "commit-tree", "-m", "dots", _tree(work, f"040000 tree {inner}\t.."))
    git(work, "push", "--quiet", str(host.folder / "repositories/public/dots"), f"{commit}:refs/heads/dots")
    with pytest.raises(CloneError, match=r"the path of a file in it has `\.\.`"):
        await Clones(tmp_path, 10, 60).clone(remote(host.url_of("dots"), ref="dots"), "d", None)


# With ssh


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    with ssh_server(tmp_path / "ssh") as server:
        monkeypatch.setenv("PATH", f"{server.client}:{os.environ['PATH']}")
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        yield server


@anyio
async def test_ssh(host: GitServer, ssh: SshServer, tmp_path: Path) -> None:
    """A key in a secret gives access. Without it, with another one, and with an unknown host key, the message says so."""
    url = f"{ssh.url}{host.folder}/repositories/public/app"
    write_settings(tmp_path / "secrets", {"key": Secret(ssh.key.strip()), "other": Secret(ssh.other_key)})
    secrets = SecretValues(tmp_path / "secrets", {})
    clones = Clones(tmp_path / "clones", 10, 60)
    accepted = remote(url, secrets, password="secret:key")
    commit = await clones.clone(accepted, "d", None)
    assert "opt/app/index.html" in names_in(clones.archive(accepted, "d", commit))
    for password, message in ((None, "refused the key"), ("secret:other", "refused the key")):
        with pytest.raises(CloneError, match=message):
            await clones.clone(remote(url, secrets, password=password), "e", None)
    with pytest.raises(CloneError, match="it does not exist, or the credentials do not give access to it"):
        await clones.clone(remote(f"{ssh.url}/nosuch", secrets, password="secret:key"), "e", None)
    ssh.forget_host_key()
    with pytest.raises(CloneError, match=r"the host key of 127\.0\.0\.1:\d+ is unknown or has changed"):
        await clones.clone(remote(url, secrets, password="secret:key"), "e", None)
