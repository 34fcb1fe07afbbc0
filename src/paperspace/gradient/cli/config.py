"""`gradient apiKey`, `gradient logout` and `gradient config`: the settings and the configuration file."""

from __future__ import annotations

import json
import os
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from paperspace.gradient import config
from paperspace.gradient._core.defaults import DEFAULT_API_URL
from paperspace.gradient._shared.private_files import exclusive_change, write_private
from paperspace.gradient._shared.secrets import hide_credentials
from paperspace.gradient.cli._commands import API_KEY_OPTION, API_URL_OPTION, Command, Group, common_options
from paperspace.gradient.cli._output import output_option, print_data, print_message
from paperspace.gradient.cli._secrets import read_secret
from paperspace.gradient.cli._tables import Column, print_table
from paperspace.gradient.errors import ConfigurationError, MissingAPIKeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The last characters identify a key. Of a short key, they would reveal too much.
_VISIBLE_CHARACTERS = 4
_MIN_LENGTH_TO_SHOW = 16


@click.command("apiKey", cls=Command)
@click.argument("key", required=False)
def api_key(key: str | None) -> None:
    """Store an API key in the configuration file.

    Only the owner can read the file. With --api-url, the command also stores the API URL. Without KEY, it reads the API key
    from a prompt or from standard input, so that the API key is not in the history of the shell. If the configuration
    file is invalid, the command renames it to config.json.broken and writes a new one.

    \b
    Examples:
      gradient apiKey 0123456789abcdef
      gradient apiKey --api-url http://127.0.0.1:8600/graphql < key.txt
    """
    options = common_options()
    if key is not None and options.api_key is not None:
        raise click.UsageError(f"Got two API keys, KEY and {API_KEY_OPTION}. Pass one.")
    if key is not None:
        text, source = key, "KEY"
    elif options.api_key is not None:
        text, source = options.api_key, API_KEY_OPTION
    else:
        text, source = read_secret("API key")
    key = text.strip()
    api_url = DEFAULT_API_URL if options.api_url is None else options.api_url
    config.Settings.resolve(key, api_url, argument_names=config.ArgumentNames(source, API_URL_OPTION))  # validates both
    stored, variables = {"apiKey": key}, ["PAPERSPACE_API_KEY"]
    if options.api_url is not None:
        stored["apiUrl"] = options.api_url
        variables += ["PAPERSPACE_API_URL", "PAPERSPACE_API_HOST"]
    store_in_config(_valid_config, stored)
    print_message(f"Stored the API key in {config.config_path()}")
    warn_of_environment(*variables)


def warn_of_environment(*names: str) -> None:
    """Say which of these environment variables take precedence over what has just been stored."""
    present = [name for name in names if os.environ.get(name)]
    if present:
        verbs = ("is", "takes") if len(present) == 1 else ("are", "take")
        print_message(f"{' and '.join(present)} {verbs[0]} set in this shell and {verbs[1]} precedence over the file.")


@click.command(cls=Command)
def logout() -> None:
    """Remove the API key from the configuration file.

    \b
    Example:
      gradient logout
    """
    path = config.config_path()
    with exclusive_change(_real_path()):
        try:
            content = config.read_config()
        except ConfigurationError as error:
            raise ConfigurationError(f"no API key was removed, but the file may contain one: {error}") from error
        if content.pop("apiKey", None) is None:
            print_message(f"No API key in {path}")
            return
        file = _real_path().stat()
        if content:
            _write_config(content)
        else:
            _real_path().unlink()  # the file with the key, not a symbolic link to it
    if file.st_nlink > 1:
        raise ConfigurationError(
            f"the API key was removed from {path}, but hard links to the previous file still contain it; "
            f"find them with `find / -xdev -inum {file.st_ino}`, and delete them"
        )
    print_message(f"Removed the API key from {path}")


@click.group("config", cls=Group)
def command() -> None:
    """Inspect the settings.

    \b
    Example:
      gradient config show
    """


def _real_path() -> Path:
    """Return the path of the configuration file without symbolic links."""
    return Path(os.path.realpath(config.config_path()))  # Path.resolve raises a RuntimeError for a link to itself


def store_in_config(read: Callable[[], dict[str, object]], entries: Mapping[str, object]) -> None:
    """Store entries in the configuration file, which `read` reads. The others are kept."""
    if config.config_path().parts[0] == "~":
        raise ConfigurationError("no home folder for the configuration file; set HOME or PAPERSPACE_CONFIG_PATH")
    _real_path().parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # first: the lock is on the folder
    with exclusive_change(_real_path()):
        _write_config({**read(), **entries})


def _write_config(content: dict[str, object]) -> None:
    """Replace the configuration file. Only its owner can read it; a symbolic link to it is kept."""
    write_private(_real_path(), json.dumps(content, indent=2) + "\n")


def _valid_config() -> dict[str, object]:
    """Read the configuration file. An invalid one is renamed, not deleted, as it may contain more than a key."""
    path = _real_path()
    try:
        return config.read_config()
    except ConfigurationError:
        if not path.is_file():
            raise
        names = (f"{path.name}.broken{number or ''}" for number in count())
        new_path = next(candidate for candidate in map(path.with_name, names) if not os.path.lexists(candidate))
        path.rename(new_path)
        new_path.chmod(0o600)
        print_message(f"Renamed the invalid {path} to {new_path}")
        return {}


class _Row(NamedTuple):
    setting: str
    value: str
    source: str


@command.command()
@output_option("json", "yaml")
def show(output: str | None) -> None:
    """Show each setting and where it comes from. The API key is masked.

    \b
    Example:
      gradient config show
    """
    options = common_options()
    names = config.ArgumentNames(API_KEY_OPTION, API_URL_OPTION)
    sources = config.Sources()
    try:
        key = config.find_api_key(options.api_key, sources, names)
        rows = [_Row("apiKey", _masked(key.value), key.source)]
    except MissingAPIKeyError:
        rows = [_Row("apiKey", "-", "not set")]
    url = config.find_api_url(options.api_url, sources, names)
    rows.append(_Row("apiUrl", hide_credentials(url.value), url.source))
    path = config.config_path()
    rows.append(_Row("configFile", str(path), "exists" if path.exists() else "does not exist"))
    if output:
        print_data({row.setting: {"value": row.value, "source": row.source} for row in rows}, output)
    else:
        print_table(_COLUMNS, rows)


_COLUMNS: dict[Column, Callable[[_Row], str]] = {
    Column("Setting"): lambda row: row.setting,
    Column("Value"): lambda row: row.value,
    Column("Source", min_width=12): lambda row: row.source,
}


def _masked(key: str) -> str:
    return f"…{key[-_VISIBLE_CHARACTERS:]}" if len(key) >= _MIN_LENGTH_TO_SHOW else "…"
