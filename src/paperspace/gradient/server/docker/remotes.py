"""Repositories as git reaches them: URLs without credentials, and the credentials themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from paperspace.gradient.server.docker.models import is_usable_target, normal_path
from paperspace.gradient.server.engines.runtime import UnsupportedSpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperspace.gradient.server.controller.engine import Model, Repository, Workload
    from paperspace.gradient.server.secrets import SecretValues

DEFAULT_USER = "git"  # for a password or a key without a user name; hosts accept any name with a token

_PRIVATE_KEY = "-----BEGIN "
_USER = r"[A-Za-z0-9_][\w.+-]*"
_HOST = r"[A-Za-z0-9][A-Za-z0-9.-]*"
_SCP = re.compile(rf"(?:(?P<user>{_USER})@)?(?P<host>{_HOST}):(?P<path>[^:/].*)", re.ASCII)  # git@github.com:team/app
_DATASET = re.compile(r"[A-Za-z0-9][\w.-]{0,99}", re.ASCII)
_REF = re.compile(r"[^\s~^:?*\[\\]+")


class Credentials(NamedTuple):
    """A user name and a password."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "Credentials((hidden))"


class PrivateKey(NamedTuple):
    """The content of a file with a private key, for ssh."""

    text: str

    def __repr__(self) -> str:
        return "PrivateKey((hidden))"


class Remote(NamedTuple):
    """A repository to clone."""

    name: str
    url: str
    """Without credentials."""
    host: str
    """With the scheme and the port, such as `https://git.example.com:8443`."""
    path: str
    """Where the container finds the files, normalized."""
    ref: str | None
    """None: the default branch."""
    secret: Credentials | PrivateKey | None

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return f"Repository {self.name} ({self.url})"


def remotes(workload: Workload, secrets: SecretValues) -> Sequence[Remote]:
    """Return the repositories of a workload.

    Raises:
        UnsupportedSpecError: one cannot be cloned: its URL, its name or its path is invalid, or its secret does not exist.
    """
    if workload.dataset is not None and not _DATASET.fullmatch(workload.dataset):
        raise UnsupportedSpecError(
            f"repositories.dataset: expected a name of letters, digits, `-`, `_` and `.`, got {workload.dataset!r}."
        )
    found: list[Remote] = []
    for index, repository in enumerate(workload.repositories):
        field = f"repositories.repositories[{index}]"
        path = _path(repository, field, workload.models)
        if path in (remote.path for remote in found):
            raise UnsupportedSpecError(f"{field}.name: another repository has the same name, {repository.name}.")
        password = repository.password and secrets.value(repository.password, f"{field}.password")
        found.append(_remote(repository, field, path, password))
    return found


def _path(repository: Repository, field: str, models: Sequence[Model]) -> str:
    """Return the path of a repository in the container. It is below `mountPath`, and not in the folder of a model."""
    if "/" in repository.name or repository.name in ("", ".", "..") or not repository.name.isprintable():
        raise UnsupportedSpecError(f"{field}.name: expected the name of a folder, got {repository.name!r}.")
    if not is_usable_target(repository.path):
        mount_path = repository.path.removesuffix(f"/{repository.name}")
        raise UnsupportedSpecError(
            f"repositories.mountPath: expected an absolute path without `..`, got {mount_path!r}."
        )
    path = normal_path(repository.path)
    for index, model in enumerate(models):
        other = normal_path(model.path)
        if path == other or path.startswith(f"{other}/") or other.startswith(f"{path}/"):
            raise UnsupportedSpecError(
                f"{field}: its folder {path} and the folder of models[{index}], {model.path}, overlap. "
                "Change `repositories.mountPath`."
            )
    return path


def _remote(repository: Repository, field: str, path: str, password: str | None) -> Remote:
    name, url, ref, _, _, _ = repository
    if ref is not None and (not _REF.fullmatch(ref) or ".." in ref):
        raise UnsupportedSpecError(f"{field}.ref: expected a branch, a tag or a commit, got {ref!r}.")
    if match := _SCP.fullmatch(url):
        user = _ssh_user(repository.username or match["user"], field)
        return Remote(
            name, f"{user}@{match['host']}:{match['path']}", f"ssh://{match['host']}", path, ref, _key(password, field)
        )
    parts = _split(url, field)
    user = repository.username or unquote(parts.username or "")
    password = password or unquote(parts.password or "")
    host = parts.netloc.rpartition("@")[2].lower()
    if parts.scheme.lower() == "ssh":
        url = f"ssh://{_ssh_user(user, field)}@{host}{parts.path}"
        return Remote(name, url, f"ssh://{host}", path, ref, _key(password, field))
    if re.search(r"[\r\n\0]", user + password):
        raise UnsupportedSpecError(f"{field}: the user name and the password for a URL with https must have one line.")
    secret = Credentials(user or DEFAULT_USER, password) if user or password else None
    return Remote(name, f"https://{host}{parts.path}", f"https://{host}", path, ref, secret)


def _ssh_user(user: str | None, field: str) -> str:
    if user and not re.fullmatch(_USER, user, re.ASCII):
        raise UnsupportedSpecError(
            f"{field}: the user name for a URL with ssh has other characters than letters and digits."
        )
    return user or DEFAULT_USER


def _split(url: str, field: str) -> SplitResult:
    """Return the parts of a URL that git may clone from. A token in a query would be visible in the list of processes."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    valid = parts.hostname and re.fullmatch(rf"{_HOST}|\[[0-9a-f:.]+\]|[0-9a-f:]+", parts.hostname, re.ASCII)
    if parts.scheme.lower() not in ("https", "ssh") or not valid or any(map(str.isspace, url)):
        raise UnsupportedSpecError(
            f"{field}.url: expected a URL that starts with https:// or ssh://, or a repository such as "
            "git@github.com:team/app.git."
        )
    if parts.query or parts.fragment:
        raise UnsupportedSpecError(f"{field}.url: expected a URL without `?` and `#`. A token belongs into `password`.")
    return parts


def _key(password: str | None, field: str) -> PrivateKey | None:
    if not password:
        return None
    if not password.lstrip().startswith(_PRIVATE_KEY):
        raise UnsupportedSpecError(
            f"{field}.password: for a URL with ssh, expected a secret with a private key: `gradient server secrets set NAME "
            "< KEYFILE`, and then `password: secret:NAME`."
        )
    return PrivateKey(password.strip() + "\n")
