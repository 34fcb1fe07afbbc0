"""`gradient apiKey`, `gradient logout` and `gradient config`: the settings, and the file that keeps them."""

from __future__ import annotations

import json
import os
import re
import sys
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import click

from paperspace.gradient import config
from paperspace.gradient._core.defaults import DEFAULT_API_URL
from paperspace.gradient._shared.private_files import write_private
from paperspace.gradient.cli._commands import Command, Group, invocation
from paperspace.gradient.cli._output import output_option, tell, write_data
from paperspace.gradient.cli._tables import Column, draw
from paperspace.gradient.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

# The last characters of a key tell it from others; of a short one they would tell too much.
_SHOWN = 4
_LONG_ENOUGH = 16


@click.command("apiKey", cls=Command)
@click.argument("key", required=False)
def api_key(key: str | None) -> None:
    """Store an API key for all calls from now on.

    It goes into the configuration file, which only its owner can read; with --api-url, so does the address. Without
    KEY it is asked for, or read from standard input, so that it is in no history of the shell. A configuration file
    that cannot be used is moved aside, to config.json.broken.

    \b
    Examples:
      gradient apiKey 0123456789abcdef
      gradient apiKey --api-url http://127.0.0.1:8600/graphql < key.txt
    """
    given = invocation()
    if key is None:
        key = given.api_key
    if key is None:
        key = click.prompt("API key", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.read().strip()
    config.Settings.resolve(key, given.api_url or DEFAULT_API_URL)  # refuses what cannot be right
    content = _usable_config() | {"apiKey": key} | ({"apiUrl": given.api_url} if given.api_url else {})
    write_config(content)
    tell(f"Stored the API key in {config.config_path()}")
    if os.environ.get("PAPERSPACE_API_KEY"):
        tell("PAPERSPACE_API_KEY is set in this shell, and goes before it.")


@click.command(cls=Command)
def logout() -> None:
    """Forget the API key that `gradient apiKey` has stored.

    \b
    Example:
      gradient logout
    """
    path = config.config_path()
    try:
        content = config.read_config()
    except ConfigurationError as error:
        raise ConfigurationError(f"nothing was removed: {error}, as an API key may be in it") from error
    if content.pop("apiKey", None) is None:
        tell(f"There is no API key in {path}")
        return
    if content:
        write_config(content)
    else:
        path.unlink()
    tell(f"Removed the API key from {path}")


@click.group("config", cls=Group)
def command() -> None:
    """Look at the settings.

    \b
    Example:
      gradient config show
    """


def write_config(content: dict[str, object]) -> None:
    """Replaces the configuration file, readable by its owner only; a link to it stays a link."""
    if config.config_path().parts[0] == "~":
        raise ConfigurationError("there is no home folder to keep settings in: set HOME, or PAPERSPACE_CONFIG_PATH")
    path = config.config_path().resolve()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, json.dumps(content, indent=2) + "\n")


def _usable_config() -> dict[str, object]:
    """What the configuration file holds. One that cannot be used is moved aside, as it may hold more than a key."""
    path = config.config_path().resolve()
    try:
        return config.read_config()
    except ConfigurationError:
        if not path.is_file():
            raise
        names = (f"{path.name}.broken{number or ''}" for number in count())
        aside = next(place for place in map(path.with_name, names) if not os.path.lexists(place))
        path.rename(aside)
        aside.chmod(0o600)
        tell(f"{path} could not be used: it is {aside} now")
        return {}


class _Row(NamedTuple):
    setting: str
    value: str
    source: str


@command.command()
@output_option("json", "yaml")
def show(output: str | None) -> None:
    """Show each setting and where it comes from. The key is masked.

    \b
    Example:
      gradient config show
    """
    given = invocation()
    try:
        key = config.find_api_key(given.api_key, os.environ)
        rows = [_Row("apiKey", _masked(key.value), key.source)]
    except ConfigurationError:
        config.read_config()  # says so where it is the file that cannot be used
        rows = [_Row("apiKey", "-", "nowhere")]
    url = config.find_api_url(given.api_url, os.environ)
    rows.append(_Row("apiUrl", re.sub("//[^/]*@", "//…@", url.value), url.source))
    path = config.config_path()
    rows.append(_Row("configFile", str(path), "there" if path.exists() else "not there"))
    rows = [row._replace(source=row.source.replace("the argument api_", "--api-")) for row in rows]
    if output:
        write_data({row.setting: {"value": row.value, "source": row.source} for row in rows}, output)
    else:
        draw(_COLUMNS, rows)


_COLUMNS: dict[Column, Callable[[_Row], str]] = {
    Column("Setting"): lambda row: row.setting,
    Column("Value"): lambda row: row.value,
    Column("From", least=12): lambda row: row.source,
}


def _masked(key: str) -> str:
    return f"…{key[-_SHOWN:]}" if len(key) >= _LONG_ENOUGH else "…"
