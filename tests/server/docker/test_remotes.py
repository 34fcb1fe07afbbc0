"""Repositories of a spec: URLs, credentials, paths and refs, as git gets them; and what its failures mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from paperspace.gradient.server.controller.engine import Model, Repository, Workload
from paperspace.gradient.server.docker.clone_errors import clone_error, unknown_ref
from paperspace.gradient.server.docker.git import commit_of, git_environment, open_repository
from paperspace.gradient.server.docker.remotes import Credentials, PrivateKey, Remote, remotes
from paperspace.gradient.server.engines.runtime import UnsupportedSpecError
from paperspace.gradient.server.secrets import Secret, SecretValues
from paperspace.gradient.server.settings_files import write_settings

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----"
WORKLOAD = Workload("app:1", None, 80, (), (), None, None)
NO_SECRETS = SecretValues(None, {})


def repository(url: str, **fields: str | None) -> Repository:
    name = fields.pop("name", "code")
    values = {"ref": None, "username": None, "password": None, "path": f"/opt/repositories/{name}"} | fields
    return Repository(url=url, name=name, **values)  # type: ignore[arg-type]


def remote(url: str, **fields: str | None) -> Remote:
    [found] = remotes(WORKLOAD._replace(repositories=(repository(url, **fields),)), NO_SECRETS)
    return found


@pytest.mark.parametrize(
    ("url", "fields", "clean", "host", "secret"),
    [
        ("https://git.example.com/a/b.git", {}, "https://git.example.com/a/b.git", "https://git.example.com", None),
        ("HTTPS://Git.Example.com:8443/a", {}, "https://git.example.com:8443/a", "https://git.example.com:8443", None),
        ("https://ada:p%40ss@h/a", {}, "https://h/a", "https://h", Credentials("ada", "p@ss")),
        ("https://t0k3n@h/a", {}, "https://h/a", "https://h", Credentials("t0k3n", "")),
        ("https://h/a", {"password": "p"}, "https://h/a", "https://h", Credentials("git", "p")),
        ("https://x:y@h/a", {"username": "u", "password": "p"}, "https://h/a", "https://h", Credentials("u", "p")),
        ("https://[::1]:8443/a", {}, "https://[::1]:8443/a", "https://[::1]:8443", None),
        ("ssh://git@h:2222/a/b", {}, "ssh://git@h:2222/a/b", "ssh://h:2222", None),
        ("ssh://h/a", {"username": "ada"}, "ssh://ada@h/a", "ssh://h", None),
        ("ssh://h/a", {"password": KEY}, "ssh://git@h/a", "ssh://h", PrivateKey(KEY + "\n")),
        ("git@github.com:team/app.git", {}, "git@github.com:team/app.git", "ssh://github.com", None),
        (
            "github.com:team/app",
            {"password": KEY},
            "git@github.com:team/app",
            "ssh://github.com",
            PrivateKey(KEY + "\n"),
        ),
    ],
)
def test_urls(url: str, fields: dict[str, str], clean: str, host: str, secret: Credentials | PrivateKey | None) -> None:
    """Credentials are separated from the URL; those in fields take precedence."""
    found = remote(url, **fields)
    assert (found.url, found.host, found.secret) == (clean, host, secret)


@pytest.mark.parametrize(
    "url",
    [
        "http://h/a",
        "git://h/a",
        "file:///a",
        "/a",
        "ext::sh -c id",
        "ext::sh",
        "-oProxyCommand=id",
        "-oProxyCommand=id:a",
        "ssh://-oProxyCommand=id/a",
        "https://",
        "https:///a",
        "https://h:port/a",
        "https://h/a b",
        "h::a",
        "h:/a",
        "",
    ],
)
def test_urls_that_git_does_not_get(url: str) -> None:
    """Only https and ssh are allowed, and nothing that git or ssh could read as an option or as another protocol."""
    with pytest.raises(
        UnsupportedSpecError, match=r"^repositories\.repositories\[0\]\.url: expected a URL that starts"
    ):
        remote(url)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"url": "https://h/a?token=t0k3n"}, r"\[0\].url: expected a URL without `\?` and `#`\. A token belongs into"),
        ({"url": "https://h/a#t0k3n"}, r"\[0\].url: expected a URL without"),
        ({"url": "https://h/a", "username": "a\nhost=evil"}, "must have one line"),
        ({"url": "https://h/a", "password": "t0k3n\nhost=evil"}, "must have one line"),
        ({"url": "https://u:t0k3n%0ahost=evil@h/a"}, "must have one line"),
        (
            {"url": "ssh://h/a", "password": "t0k3n"},
            r"\[0\].password: for a URL with ssh, expected a secret with a private",
        ),
        ({"url": "ssh://u:t0k3n@h/a"}, r"\[0\].password: for a URL with ssh"),
        ({"url": "ssh://h/a", "username": "-oProxyCommand=id"}, "the user name for a URL with ssh"),
        ({"name": "a/b"}, r"\[0\].name: expected the name of a folder, got 'a/b'"),
        ({"name": ".."}, r"\[0\].name: expected the name of a folder, got '\.\.'"),
        ({"path": "opt/code"}, r"^repositories.mountPath: expected an absolute path without `..`, got 'opt'"),
        ({"path": "/opt/../etc/code"}, r"^repositories.mountPath: .*got '/opt/../etc'"),
        ({"ref": "a b"}, r"\[0\].ref: expected a branch, a tag or a commit, got 'a b'"),
        ({"ref": "main..dev"}, r"\[0\].ref: expected"),
        ({"ref": "a:b"}, r"\[0\].ref: expected"),
        ({"password": "secret:none"}, r"Unknown secret none in repositories\.repositories\[0\]\.password; known: none"),
    ],
)
def test_invalid_fields(fields: dict[str, str], message: str) -> None:
    """Each problem names its field and what is expected, and repeats no secret."""
    with pytest.raises(UnsupportedSpecError, match=message) as caught:
        remote(**{"url": "https://h/a", **fields})
    assert "t0k3n" not in str(caught.value)


def test_paths() -> None:
    """Two repositories cannot have the same folder, nor can one have that of a model."""
    twice = (repository("https://h/a"), repository("https://h/b", path="/opt/repositories/./code"))
    with pytest.raises(UnsupportedSpecError, match=r"\[1\]\.name: another repository has the same name, code\."):
        remotes(WORKLOAD._replace(repositories=twice), NO_SECRETS)
    for path in ("/opt", "/opt/repositories/code/", "/opt/repositories/code/model"):
        workload = WORKLOAD._replace(repositories=twice[:1], models=(Model("m", path),))
        with pytest.raises(UnsupportedSpecError, match=r"the folder of models\[0\], .*, overlap"):
            remotes(workload, NO_SECRETS)
    beside = WORKLOAD._replace(repositories=twice[:1], models=(Model("m", "/opt/repositories/code2"),))
    assert remotes(beside, NO_SECRETS)
    with pytest.raises(UnsupportedSpecError, match=r"^repositories\.dataset: expected a name of letters"):
        remotes(WORKLOAD._replace(dataset="../a"), NO_SECRETS)


def test_secrets_of_repositories(tmp_path: Path) -> None:
    """A password can be a reference to a secret, and no `repr` shows a secret."""
    write_settings(tmp_path / "secrets", {"token": Secret("t0k3n"), "key": Secret(KEY)})
    secrets = SecretValues(tmp_path / "secrets", {})
    workload = WORKLOAD._replace(
        repositories=(
            repository("https://h/a", password="secret:token"),
            repository("ssh://h/a", password="SECRET:key", name="b"),
        )
    )
    found = remotes(workload, secrets)
    assert [entry.secret for entry in found] == [Credentials("git", "t0k3n"), PrivateKey(KEY + "\n")]
    assert "t0k3n" not in repr(found)
    assert "abc" not in repr(found)
    assert "p4ss" not in repr(repository("https://u:p4ss@h/a", password="p4ss"))


REFS = b"".join(
    b"%s\t%s\n" % (id_ * 40, name)
    for id_, name in [
        (b"1", b"HEAD"),
        (b"1", b"refs/heads/main"),
        (b"2", b"refs/heads/v1"),
        (b"3", b"refs/tags/v1"),
        (b"4", b"refs/tags/v2"),
        (b"5", b"refs/tags/v2^{}"),
        (b"6", b"refs/heads/team/main"),
    ]
)


@pytest.mark.parametrize(
    ("ref", "commit"),
    [
        (None, "1"),
        ("main", "1"),
        ("v1", "2"),
        ("refs/tags/v1", "3"),
        ("v2", "5"),
        ("refs/tags/v2", "5"),
        ("team/main", "6"),
        ("team", None),
        ("HEAD~1", None),
    ],
)
def test_refs(ref: str | None, commit: str | None) -> None:
    """A ref is a branch, or else a tag, of which the commit counts; names must be equal."""
    assert commit_of(REFS, ref) == (commit and commit * 40)


def test_environment_of_git() -> None:
    """Git gets proxies and certificates of the server, and none of its other variables or settings."""
    server = {
        "PATH": "/bin",
        "HOME": "/root",
        "GRADIENT_SECRET_A": "t0k3n",
        "https_proxy": "http://proxy",
        "SSL_CERT_FILE": "/ca.pem",
        "GIT_DIR": "/other",
        "GIT_SSH_COMMAND": "other",
        "GIT_ASKPASS": "/other",
        "GIT_CONFIG_COUNT": "1",
    }
    found = git_environment(server, Path("/work"), "ssh -o BatchMode=yes")
    assert found == {
        "PATH": "/bin",
        "https_proxy": "http://proxy",
        "GIT_SSL_CAINFO": "/ca.pem",
        "HOME": "/work",
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": "https:ssh",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
        "GIT_TERMINAL_PROMPT": "0",
    }


@pytest.mark.parametrize("fields", [{"password": "p4ss"}, {"url": "ssh://h/a", "password": KEY}])
def test_files_of_a_clone(tmp_path: Path, fields: dict[str, str]) -> None:
    """Credentials are in one file that only its owner can read, and neither in the settings of git nor in its variables."""
    opened = open_repository(tmp_path, remote(**{"url": "https://h/a", **fields}), 1, {"PATH": "/bin"})
    with_secret = [file for file in tmp_path.rglob("*") if file.is_file() and b"p4ss" in file.read_bytes()]
    with_secret += [file for file in tmp_path.rglob("*") if file.is_file() and b"abc" in file.read_bytes()]
    assert with_secret == [tmp_path / "secret"]
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert "p4ss" not in str(opened.environment)
    assert "abc" not in str(opened.environment)


# The last line of git-lfs, whatever has failed.
LARGE_FILES = "error: failed to fetch some objects from 'https://h/a.git/info/lfs'"


@pytest.mark.parametrize(
    ("messages", "text", "is_permanent"),
    [
        (
            "fatal: could not read Username for 'https://h': terminal prompts disabled",
            "does not exist, or needs cred",
            True,
        ),
        (
            "fatal: Authentication failed for 'https://h/a/'",
            "h refused the credentials: wrong user name, password",
            True,
        ),
        ("fatal: unable to access 'https://h/a/': The requested URL returned error: 403", "do not give access", True),
        (
            "fatal: repository 'https://h/a/' not found",
            "it does not exist, or the credentials do not give access",
            True,
        ),
        ("ERROR: Repository not found.\nfatal: Could not read from remote repository.", "it does not exist, or", True),
        ("fatal: '/a' does not appear to be a git repository", "it does not exist, or", True),
        (
            "Host key verification failed.\nfatal: Could not read from remote repository.",
            "the host key of h is unk",
            True,
        ),
        ("git@h: Permission denied (publickey).\nfatal: Could not read", "h refused the key", True),
        ("error: cannot run ssh: No such file or directory\nfatal: unable to fork", "ssh is not installed", True),
        (
            "fatal: unable to access 'https://h/a/': server certificate verification failed. CAfile: none CRLfile: none",
            "the certificate of h is not trusted. Set SSL_CERT_FILE",
            True,
        ),
        ("fatal: unable to access 'https://h/a/': SSL certificate problem: self-signed", "is not trusted", True),
        ("error: fatal: remote error: upload-pack: not our ref abc", "it has no commit abc, or not any more", True),
        (
            "fatal: unable to access 'https://h/a/': Protocol \"http\" disabled in followed redirect",
            "is not https",
            True,
        ),
        ("fatal: unable to access 'https://h/a/': Could not resolve host: h", "Could not resolve host: h.", False),
        ("fatal: unable to access 'https://h/a/': Failed to connect to h port 443", "Failed to connect", False),
        ("remote: p4ss is wrong\nfatal: the host says p4ss", "the host says (hidden).", False),
        ("fatal: unable to access 'https://ada:p4ss@h/a/': timed out", "https://(hidden)@h/a/': timed out", False),
        ("", "git has failed.", False),
        (
            f"batch response: This repository is over its data quota. Buy more.\n{LARGE_FILES}",
            "cloned: This repository is over its data quota. Buy more.",
            False,
        ),
        (
            f'LFS: Get "https://ada:***@cdn/x?sign=p4ss": dial tcp: connection refused\n{LARGE_FILES}',
            'cloned: Get "https://(hidden)@cdn/x?(hidden)": dial tcp: connection refused.',
            False,
        ),
        (
            f"Fatal error: Server error: https://h/a.git/x?sign=p4%73s\n{LARGE_FILES}",
            "Server error: its URL.git/x?(hidden).",
            False,
        ),
        (
            f"LFS: Server error &{{%!!(string=https) %!!(string=sign=p4ss)}}s(MISSING) from HTTP 503\n{LARGE_FILES}",
            "cloned: Server error from HTTP 503.",
            False,
        ),
        (f"[1f3a] gone: [410] gone\n{LARGE_FILES}", "does not have all of its files of Git LFS", True),
        (f"LFS: Client error &{{%!}}s(MISSING) from HTTP 410\n{LARGE_FILES}", "does not have all of its files", True),
        (f"batch response: Authorization error: https://h/a\n{LARGE_FILES}", "do not give access", True),
        (
            f"batch request: bash: line 1: git-lfs-authenticate: command not found: exit status 127\n{LARGE_FILES}",
            "h does not send its files of Git LFS to clients of ssh",
            True,
        ),
    ],
)
def test_failures(messages: str, text: str, is_permanent: bool) -> None:
    """Each failure has a sentence of its own; one that may pass is not permanent; none has a secret."""
    error = clone_error(remote("https://ada:p4ss@h/a"), messages, "abc")
    assert str(error).startswith("Repository code (https://h/a) cannot be cloned: ")
    assert text in str(error)
    assert error.permanent == is_permanent
    assert "p4ss" not in str(error)


def test_words_of_a_url() -> None:
    """Words in the URL of a repository do not decide what a failure means."""
    url = "https://h/certificate-problem/authentication-failed/repository-not-found"
    error = clone_error(remote(url), f"fatal: unable to access '{url}/': Failed to connect to h port 443")
    assert not error.permanent


def test_unknown_refs() -> None:
    """An unknown ref and an empty repository are two sentences."""
    assert "it has no branch and no tag v9." in str(unknown_ref(remote("https://h/a", ref="v9")))
    assert "it is empty" in str(unknown_ref(remote("https://h/a")))
