"""Secrets of a spec: values of environment variables and headers, passwords, credentials in URLs. Names are not secret.

Specs are compared, stored and sent as they are. What is printed or logged passes through here first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

HIDDEN = "(hidden)"

# Values in or below these fields of a spec may be secret.
SECRET_FIELDS = {"env", "headers", "repositories"}

# Those of them that are lists of name and value.
_WITH_NAMES = {"env", "headers"}

# User and password of a URL; and a query, which often carries a token. Texts may be long: every pattern has to be linear.
# The first two end with an @, and are searched only in front of the last one of a word: see `_before_last_at`.
_USER = re.compile(
    r"""(?<=//)[^/?\#\s]*@"""  # up to the last @ of the authority
    r"""|(?<=//)[^/?\#\s:@]+:(?!\d+(?:[/?\#]|$))\S*@"""  # a password with a slash; not host, port and path
)
# The query is optional, so that a URL without one is not scanned again from the next :// in it.
_QUERY = re.compile(r"(?<=://)([^\s?#'\"]*+)(\?[^\s#'\"]++)?")

# `user:password@host/path` without a scheme. `git@host:path` has no password.
_USER_WITHOUT_SCHEME = re.compile(r"^(?!\w+://)[^/@\s:]+:\S+@")

# In the URL of a repository, anything up to an @ may be a password: paths with an @ are rare.
_USER_OF_REPOSITORY = re.compile(r"(?<=//)\S*@")

# Where messages of graphql-core quote values of a document or of variables: the start of a message, and the last text
# after that to keep.
_QUOTED_VALUES = (
    (re.compile("Expected value of type "), re.compile("(?=, found:? )")),
    (re.compile("cannot represent"), re.compile("(?=: )")),
    (re.compile("has invalid value(?= (?!at ))"), re.compile("")),
    (re.compile("Syntax Error: "), re.compile(r"""\b(?:Name|String|BlockString|Int|Float)(?= ['"])""")),
)

_WORD = re.compile(r"\S++")

# A shorter secret may occur in a text by accident. It is only replaced where it stands in quotes.
_MIN_REPLACED = 6


def hide_credentials(text: str) -> str:
    """Hide user, password and query of every URL in a text."""
    if "//" not in text:
        return text
    return _QUERY.sub(lambda url: url[1] + (f"?{HIDDEN}" if url[2] else ""), _hide_users(_USER, text))


def _hide_users(pattern: re.Pattern[str], text: str) -> str:
    """Hide what matches a pattern that ends with an @."""

    def hide(word: re.Match[str]) -> str:
        start = _before_last_at(word[0])
        return pattern.sub(f"{HIDDEN}@", start) + word[0][len(start) :]

    return _WORD.sub(hide, text)


def _before_last_at(word: str) -> str:
    """Return a word up to its last @. Nothing matches behind it, but each // there would be scanned to the end of the word."""
    return word[: word.rfind("@") + 1]


def hide_in(value: Any) -> Any:
    """Copy a value of a field that is not secret, without the credentials in URLs."""
    if isinstance(value, str):
        return hide_credentials(value)
    return [hide_in(item) for item in value] if isinstance(value, list) else value


def hide_in_repository(field: str, value: Any, *, show_secrets: bool = False) -> Any:
    """Return what may be shown of a field of a repository. Passwords are never shown.

    Args:
        field: The field, such as `url`.
        value: Its value.
        show_secrets: Whether to show the user name, which may be a token.
    """
    if value is None:
        return None
    if field == "password" or (field == "username" and not show_secrets):
        return HIDDEN
    if field == "url" and isinstance(value, str):
        value = _USER_WITHOUT_SCHEME.sub(f"{HIDDEN}@", _hide_users(_USER_OF_REPOSITORY, value))
    return hide_in(value)


def hide_in_spec(spec: Mapping[str, Any], *, show_secrets: bool = False) -> dict[str, Any]:
    """Copy a spec without its secrets.

    Args:
        spec: The spec, as the API returns it: null fields may be present.
        show_secrets: Whether to show the values of environment variables and headers. Passwords and credentials stay hidden.
    """

    def copy(value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, Mapping):
            return {key: copy(entry, (*path, key)) for key, entry in value.items()}
        if isinstance(value, list):
            return [copy(item, path) for item in value]
        match path:
            case ("env", "value") | ("healthChecks", _, "headers", "value"):
                return value if show_secrets or value is None else HIDDEN
            case ("repositories", "repositories", field):
                return hide_in_repository(field, value, show_secrets=show_secrets)
            case _:
                return hide_in(value)

    return {key: copy(entry, (key,)) for key, entry in spec.items()}


def without_secrets(text: str, variables: Any) -> str:
    """Return a text of the server without the secrets that were sent to it, which it may repeat.

    Args:
        text: The text.
        variables: The variables of the request, with specs anywhere inside.
    """
    for secret in sorted(set(_secrets_of(variables)), key=len, reverse=True):
        text = without_secret(text, secret)
    return hide_credentials(text)


def without_secret(text: str, secret: str) -> str:
    """Return a text of the server without a secret. Where it was cut, which an ellipsis shows, the beginning is hidden too."""
    for form in {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
    }:
        if len(secret) >= _MIN_REPLACED:
            text = _without_beginning(text.replace(form, HIDDEN), form)
        else:
            text = text.replace(f'"{form}"', HIDDEN).replace(f"'{form}'", HIDDEN)
    return text


def _without_beginning(text: str, secret: str) -> str:
    """Hide the beginning of a secret before each ellipsis."""
    *cut, rest = text.split("…")
    for index, part in enumerate(cut):
        start = part.find(secret[:_MIN_REPLACED], max(len(part) - len(secret), 0))
        while start >= 0 and not secret.startswith(part[start:]):
            start = part.find(secret[:_MIN_REPLACED], start + 1)
        if start >= 0:
            cut[index] = part[:start] + HIDDEN
    return "…".join([*cut, rest])


def without_values(message: str) -> str:
    """Return a message of graphql-core without the value that it quotes, which may be a part of a spec."""
    for start, kept in _QUOTED_VALUES:
        if (begin := start.search(message)) and (end := kept.search(message, begin.end())):
            message = message[: end.end()]
    return message


def _secrets_of(value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the texts in a value that may be secret: those below `env` and `headers`, without names, and in repositories."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _secrets_of(entry, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secrets_of(item, path)
    elif isinstance(value, str) and value and path:
        if (not _WITH_NAMES.isdisjoint(path) and path[-1] != "name") or path[-1] in {"password", "username"}:
            yield value
        elif "repositories" in path and path[-1] == "url":
            users = [_USER_OF_REPOSITORY.search(_before_last_at(word)) for word in value.split()]
            for match in filter(None, [*users, _USER_WITHOUT_SCHEME.search(value)]):
                yield from re.split("[:@]", match[0].removesuffix("@"), maxsplit=1)
