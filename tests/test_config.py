"""Settings: their sources, the precedence of these, validation, and that the API key stays secret."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.faults.harness import check_secret
from tests.interrupting import interrupt

from paperspace.gradient import (
    AsyncClient,
    Client,
    ClientClosedError,
    ConfigurationError,
    _default_client,
    configure,
    deployments,
)
from paperspace.gradient._core.defaults import DEFAULT_API_URL, EXAMPLE_API_URL
from paperspace.gradient._default_client import default_session
from paperspace.gradient.config import Settings, read_config
from paperspace.gradient.types import ClientOptions

KEY = "s3cret-key"


def write_config(folder: Path, content: str, name: str = "config.json") -> dict[str, str]:
    """Write a configuration file; return an environment that names it."""
    (folder / name).write_text(content, encoding="utf-8")
    return {"PAPERSPACE_CONFIG_PATH": str(folder), "PAPERSPACE_CONFIG_FILE_NAME": name}


def test_precedence(tmp_path: Path) -> None:
    """Arguments win over the environment, and the environment over the file; the settings know the source of the API key."""
    url = "https://{}.example/graphql"
    file = write_config(tmp_path, json.dumps({"apiKey": "of-file", "apiUrl": url.format("file")}))
    environment = {**file, "PAPERSPACE_API_KEY": "of-env", "PAPERSPACE_API_URL": url.format("env")}

    from_argument = Settings.resolve("of-arg", url.format("arg"), environment=environment)
    from_environment = Settings.resolve(environment=environment)
    from_file = Settings.resolve(environment=file)
    assert [(settings.api_key, settings.api_url) for settings in (from_argument, from_environment, from_file)] == [
        ("of-arg", "https://arg.example/graphql"),
        ("of-env", "https://env.example/graphql"),
        ("of-file", "https://file.example/graphql"),
    ]
    assert from_argument.api_key_source == "the argument api_key"
    assert from_environment.api_key_source == "PAPERSPACE_API_KEY"
    assert from_file.api_key_source == f"apiKey in {tmp_path / 'config.json'}"


def test_file_that_is_replaced(tmp_path: Path) -> None:
    """API key and API URL come from one state of the file, also if it is replaced after the key was read."""

    class ReplacedFile(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            if name == "PAPERSPACE_API_URL":
                write_config(tmp_path, json.dumps({"apiKey": "of-other", "apiUrl": "https://other.example/graphql"}))
            return super().get(name, default)

    file = write_config(tmp_path, json.dumps({"apiKey": "of-one", "apiUrl": "https://one.example/graphql"}))
    settings = Settings.resolve(environment=ReplacedFile(file))
    assert (settings.api_key, settings.api_url) == ("of-one", "https://one.example/graphql")
    assert read_config(file)["apiKey"] == "of-other"


def test_older_name_of_the_api_url() -> None:
    """PAPERSPACE_API_HOST is read if PAPERSPACE_API_URL is not set."""
    environment = {"PAPERSPACE_API_KEY": KEY, "PAPERSPACE_API_HOST": "https://old.example/graphql"}
    assert Settings.resolve(environment=environment).api_url == "https://old.example/graphql"
    environment["PAPERSPACE_API_URL"] = "https://new.example/graphql"
    assert Settings.resolve(environment=environment).api_url == "https://new.example/graphql"


def test_hosted_api_is_the_default() -> None:
    """Without any setting, the API URL is that of the hosted API."""
    assert Settings.resolve(KEY, environment={"PAPERSPACE_CONFIG_PATH": "/nowhere"}).api_url == DEFAULT_API_URL


def test_no_key() -> None:
    """Without an API key, the first call names its three sources and the command that gives a local one."""
    with pytest.raises(ConfigurationError) as caught:
        deployments.list_deployments()
    for source in ("api_key=", "PAPERSPACE_API_KEY", "config.json", "gradient server"):
        assert source in str(caught.value)


@pytest.mark.parametrize("key", ["", "s3 cret", "s3\ncret", "s3cret ", "s3crét", "s3\tcret"])
def test_invalid_key(key: str) -> None:
    """An API key that no header can carry raises an error that does not show it."""
    with pytest.raises(ConfigurationError, match="the argument api_key") as caught:
        Client(key, "https://a.example/graphql")
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "a.example/graphql", "ftp://a.example/", "https://", "http://[::1", "https://a b/"]
)
def test_invalid_api_url(url: str) -> None:
    """An invalid API URL raises an error with a valid example."""
    with pytest.raises(ConfigurationError, match=re.escape(EXAMPLE_API_URL)):
        Client(KEY, url)


def test_api_url_with_a_password() -> None:
    """Credentials in the API URL raise an error that does not show them."""
    with pytest.raises(ConfigurationError, match="pass the API key as api_key") as caught:
        Client(KEY, "https://me:hunter2@a.example/graphql")
    assert "hunter2" not in str(caught.value)


def test_plain_http_is_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API key goes over plain http only to loopback addresses and to allowed hosts."""
    for url in ("http://127.0.0.1:8600/graphql", "http://localhost/graphql", "http://[::1]:1/graphql"):
        Client(KEY, url)
    with pytest.raises(ConfigurationError, match=r"allow_http_hosts=\('a.example',\)"):
        Client(KEY, "http://a.example/graphql")
    Client(KEY, "http://a.example/graphql", allow_http_hosts=("a.example",))
    monkeypatch.setenv("PAPERSPACE_ALLOW_HTTP_HOSTS", "b.example,a.example")
    Client(KEY, "http://a.example/graphql")


@pytest.mark.parametrize("hosts", ["a.example", None, (None,), 1])
def test_wrong_allowed_hosts(hosts: Any) -> None:
    """Hosts that are no collection of texts raise an error that shows how to pass them, as other settings do."""
    with pytest.raises(
        ConfigurationError, match=r"^allow_http_hosts: expected a tuple such as \('\w+\.\w+.*',\), got "
    ):
        Client(KEY, "https://a.example/graphql", allow_http_hosts=hosts)


def test_poll_interval() -> None:
    """It comes from the argument, else from the environment, else it is 5 seconds. An error names the variable."""

    def interval(variable: str, **options: Any) -> float:
        environment = {"PAPERSPACE_API_KEY": KEY, "PAPERSPACE_MAX_POLL_INTERVAL": variable}
        return Settings.resolve(environment=environment, **options).max_poll_interval

    assert (interval(""), interval("0.5"), interval("0.5", max_poll_interval=2)) == (5, 0.5, 2)
    for wrong in ("0", "-1", "nan", "fast"):
        with pytest.raises(
            ConfigurationError, match=f"PAPERSPACE_MAX_POLL_INTERVAL: expected .* above 0, got '{wrong}'"
        ):
            interval(wrong)


def test_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    """A configuration file that an editor of Windows wrote is read."""
    environment = write_config(tmp_path, f'\ufeff{{"apiKey": "{KEY}"}}')
    assert Settings.resolve(environment=environment).api_key == KEY


@pytest.mark.parametrize("content", ["{", "[]", '{"apiKey": 5}'])
def test_invalid_file(tmp_path: Path, content: str) -> None:
    """The error names a configuration file with invalid content."""
    with pytest.raises(ConfigurationError, match=r"config\.json"):
        Settings.resolve(environment=write_config(tmp_path, content))


def test_invalid_numbers() -> None:
    """Zero, negative numbers and integers that exceed all floats raise an error that names the setting."""
    huge = 10**5000  # repr refuses it
    wrongs: list[dict[str, Any]] = [{"timeout": 0.0}, {"max_retries": -1}, {"max_response_bytes": 0}]
    wrongs += [{"max_poll_interval": 0}, {"max_poll_interval": float("nan")}]
    wrongs += [{"timeout": huge}, {"timeout": -huge}, {"max_retries": -huge}, {"max_response_bytes": -huge}]
    for wrong in wrongs:
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            Client(KEY, "https://a.example/graphql", **wrong)


def test_key_does_not_show() -> None:
    """The repr of a client and of its settings does not show the API key."""
    client = Client(KEY, "https://a.example/graphql")
    assert KEY not in repr(client) + repr(client._session.settings) + repr(vars(client))


async def call_over_socks() -> None:
    async with AsyncClient(api_url="https://gradient.example/graphql") as client:
        await client.deployments.list_deployments()


MISTAKES: dict[str, Callable[[], object]] = {
    "key": lambda: Client(api_key=""),
    "URL": lambda: Client(api_url="ftp://gradient.example"),
    "timeout": lambda: Client(timeout=-1),
    "timeout beside a key": lambda: Client(KEY, timeout=-1),
    "timeout of the default client": lambda: configure(api_key=KEY, timeout=-1),
    "other timeout": lambda: Client().with_options(timeout=-1),
    "default client": lambda: configure(timeout=-1),
    "proxy": lambda: asyncio.run(call_over_socks()),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_traceback_of_an_invalid_setting(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variables, which crash reporters show, are not the API key, the environment, or a proxy with its password."""
    monkeypatch.setenv("PAPERSPACE_API_KEY", KEY)
    monkeypatch.setenv("PAPERSPACE_API_URL", DEFAULT_API_URL)
    monkeypatch.setenv("HTTPS_PROXY", f"socks5://user:{KEY}@proxy.example")
    with pytest.raises(ConfigurationError) as raised:
        MISTAKES[mistake]()
    check_secret(raised.value, KEY)


@pytest.mark.usefixtures("environment")
def test_configure() -> None:
    """The default client uses the latest configuration."""
    assert deployments.list_deployments() == []
    configure(api_url="http://127.0.0.1:9/graphql", max_retries=0)
    with pytest.raises(ConnectionError):
        deployments.list_deployments()
    configure()
    assert deployments.list_deployments() == []


@pytest.mark.usefixtures("environment")
def test_configure_during_a_first_call() -> None:
    """At whatever step of a first call another thread or a signal handler configures the default client, that remains."""
    url = "http://127.0.0.1:9/graphql"
    for step in itertools.count():
        _default_client.replace_session(None)
        if not interrupt(default_session, step, _default_client.__file__, handler=lambda: configure(api_url=url)):
            break
        assert default_session().settings.api_url == url
    assert step > 1


@pytest.mark.usefixtures("environment")
def test_options_share_connections() -> None:
    """A client with other options shares the connections, and is closed with them."""
    with Client() as client:
        other = client.with_options(timeout=5.0)
        assert other._session.settings.timeout == 5.0
        assert client._session.settings.timeout == 30.0
        assert other._session._connections is client._session._connections
        with pytest.raises(ConfigurationError, match="timeout"):
            client.with_options(timeout=-1.0)
        assert other.deployments.list_deployments() == []
    with pytest.raises(ClientClosedError):
        other.deployments.list_deployments()


def test_one_list_of_settings() -> None:
    """The options of a client are the fields of its settings, but for those that have an argument of their own."""
    fields = {field.name for field in dataclasses.fields(Settings)}
    assert set(ClientOptions.__annotations__) == fields - {"api_key", "api_url", "api_key_source", "api_url_source"}
