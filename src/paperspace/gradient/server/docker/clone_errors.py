"""What a failed clone means, in sentences for users."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient._shared.secrets import HIDDEN, hide_credentials
from paperspace.gradient.server.controller.engine import CloneError
from paperspace.gradient.server.docker.git import REFUSED
from paperspace.gradient.server.docker.remotes import Credentials

if TYPE_CHECKING:
    from paperspace.gradient.server.docker.remotes import Remote


class _Meaning(NamedTuple):
    pattern: re.Pattern[str]
    text: str
    """After the title of the repository."""


def _meaning(pattern: str, text: str) -> _Meaning:
    return _Meaning(re.compile(pattern, re.IGNORECASE), text)


# What git, ssh and the hosts write. The first pattern that occurs applies.
_PERMANENT = (
    _meaning(
        r"host key verification failed",
        "the host key of {host} is unknown or has changed. Add it to ~/.ssh/known_hosts of the user who runs the server, for "
        "example with `ssh-keyscan`.",
    ),
    _meaning(
        r"'lfs' is not a git command",
        "it has files of Git LFS, and the program git-lfs is not installed on the machine of the server. Install it, for "
        "example with `apt-get install git-lfs`.",
    ),
    _meaning(
        r"object (does not exist on the server|not found)|: \[(404|410)\] |from HTTP 410",
        "its host does not have all of its files of Git LFS.",
    ),
    _meaning(
        r"git-lfs-authenticate: .*not found|unrecognized command 'git-lfs-authenticate",
        "{host} does not send its files of Git LFS to clients of ssh. Use a URL with https.",
    ),
    _meaning(r"cannot run ssh", "the program ssh is not installed on the machine of the server."),
    _meaning(
        r"permission denied \(|publickey",
        "{host} refused the key. Set `password` to a secret with a private key that has access.",
    ),
    _meaning(
        rf"{REFUSED}|returned error: 401",
        "{host} refused the credentials: wrong user name, password or token.",
    ),
    _meaning(
        r"could not read (username|password)",
        "it does not exist, or needs credentials. Set `username` and `password`.",
    ),
    _meaning(r"batch response: authorization error|returned error: 403", "the credentials do not give access to it."),
    _meaning(
        r"repository .*not found|does not appear to be a git repository|does not exist|returned error: 404",
        "it does not exist, or the credentials do not give access to it.",
    ),
    _meaning(
        r"certificate (verification|problem|verify)|ssl certificate|unable to get local issuer",
        "the certificate of {host} is not trusted. Set SSL_CERT_FILE to a file with the certificate of the host's CA, "
        "and start the server again.",
    ),
    _meaning(
        r"not our ref|(no such|couldn't find) remote ref|unadvertised object|bad object|not a valid object name|not a tree object",
        "it has no commit {commit}, or not any more.",
    ),
    _meaning(
        r"transport '\w+' not allowed|protocol \W?\w+\W? (not supported|disabled)",
        "it redirects to a URL that is not https.",
    ),
)
# What a line of git or git-lfs starts with that says what is wrong. The last line of git-lfs does not say it.
_FAILURE = re.compile(
    r"^(?:(?:fatal|error): (?!failed to fetch some objects)|batch (?:request|response): |LFS: )(.*)$", re.MULTILINE
)


def clone_error(remote: Remote, messages: str, commit: str = "") -> CloneError:
    """Return the error for a clone that failed.

    Args:
        remote: The repository.
        messages: What git wrote.
        commit: What was fetched.
    """
    words = messages.replace(remote.url, "its URL")  # which may have any of the words
    for meaning in _PERMANENT:
        if meaning.pattern.search(words):
            host = remote.host.partition("://")[2]
            return permanent(remote, meaning.text.format(host=host, commit=commit))
    failures = _FAILURE.findall(messages) or messages.strip().splitlines()[:1] or ["git has failed"]
    reason = _without_secret(remote, failures[0].strip()).replace(remote.url, "its URL").rstrip(".")
    return CloneError(f"{remote.title} cannot be cloned: {reason}.", permanent=False)


def unknown_ref(remote: Remote) -> CloneError:
    """Return the error for a ref that does not exist."""
    if remote.ref is None:
        return permanent(remote, "it is empty, or has no default branch.")
    return permanent(
        remote, f"it has no branch and no tag {remote.ref}. If this is the id of a commit, write the whole id."
    )


def permanent(remote: Remote, text: str) -> CloneError:
    """Return an error that another attempt would have too."""
    return CloneError(f"{remote.title} cannot be cloned: {text}", permanent=True)


def _without_secret(remote: Remote, text: str) -> str:
    """Hide what a host may repeat."""
    if isinstance(remote.secret, Credentials):
        for value in filter(None, (remote.secret.password, remote.secret.username)):
            text = text.replace(value, HIDDEN)
    start, _, rest = text.partition("&{%!")  # git-lfs 3.3 writes URLs, which may have a token, as values of Go
    return hide_credentials(start + rest.rpartition("s(MISSING) ")[2])
