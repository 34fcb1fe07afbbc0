"""The playground: one request to the endpoint of a deployment.

The page passes a path, never a URL. The URL of the endpoint is that of the deployment's status, and the request cannot leave
it: not by the path, not by a header, not by a redirect.
"""

from __future__ import annotations

import codecs
import json
import re
import shlex
from base64 import b64encode
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar
from yarl import URL

from paperspace.gradient._shared.daemon_threads import in_daemon_thread
from paperspace.gradient.console.bodies import read_first
from paperspace.gradient.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import ClientResponse

    from paperspace.gradient.console.calls import Arguments

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
MAX_BYTES = 1024 * 1024  # of the body of a request, and of what is read of a response
TIMEOUT = 30.0  # seconds, from the connection to the end of the response

# The codecs that a response may choose, as Python names them. Their work grows with the text; with others, such as punycode,
# it grows with the square of the text.
CODECS = frozenset(
    [
        "ascii",
        "big5",
        "cp1252",
        "euc_jp",
        "euc_kr",
        "gb18030",
        "gb2312",
        "gbk",
        "iso8859-1",
        "iso8859-15",
        "shift_jis",
        "utf-8",
        "utf-16",
        "utf-16-be",
        "utf-16-le",
    ]
)
_PIECE = 32 * 1024  # bytes that are decoded at once: meanwhile, no other thread runs

# With another host, the gateway would send the request to another deployment. The others are part of how a request is sent.
_FORBIDDEN_HEADERS = {"host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer"}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class EndpointRequest(NamedTuple):
    """A request to the endpoint of a deployment."""

    method: str
    url: URL
    headers: Sequence[tuple[str, str]]
    body: str
    login: str | None
    """The user and the password, as `user:password`, for a protected endpoint. None: none."""

    def sent_headers(self) -> list[tuple[str, str]]:
        """Return the headers with those that other arguments imply."""
        headers = [*self.headers]
        names = {name.lower() for name, _ in headers}
        if self.login and "authorization" not in names:
            headers.append(("Authorization", f"Basic {b64encode(self.login.encode()).decode()}"))
        if self.body and "content-type" not in names:
            headers.append(("Content-Type", _content_type(self.body)))
        return headers


def build_request(endpoint_url: str, arguments: Arguments) -> EndpointRequest:
    """Return the request that the page asks for.

    Args:
        endpoint_url: The URL of the endpoint.
        arguments: `method`, `path`, `headers` (lines such as `Name: value`), `body` and `login`.

    Raises:
        InvalidArgumentError: An argument is invalid, or the request would go elsewhere.
    """
    method, path, headers = arguments.text("method"), arguments.text("path"), arguments.text("headers", "")
    body, login = arguments.text("body", ""), arguments.text("login", "") or None
    if method not in METHODS:
        raise InvalidArgumentError(f"unknown method {method!r}: use one of {', '.join(METHODS)}")
    if len(body.encode()) > MAX_BYTES:
        raise InvalidArgumentError(f"the body has more than {MAX_BYTES} bytes; send it with another program")
    if login is not None and ":" not in login:
        raise InvalidArgumentError("the login needs the form user:password")
    return EndpointRequest(method, _url(endpoint_url, path), _headers(headers), body, login)


def _url(endpoint_url: str, path: str) -> URL:
    if not path.startswith("/"):
        raise InvalidArgumentError(f"the path has to start with a slash: /{path}")
    endpoint = URL(endpoint_url.rstrip("/"))
    try:
        url = URL(endpoint_url.rstrip("/") + path).with_fragment(None)
    except ValueError as error:
        raise InvalidArgumentError(f"invalid path: {error}") from None
    # The segments `.` and `..` are resolved by now, however they were written.
    if url.origin() != endpoint.origin() or not url.raw_path.startswith(endpoint.raw_path.rstrip("/") + "/"):
        raise InvalidArgumentError("the path leaves the endpoint of the deployment")
    return url


def _headers(text: str) -> list[tuple[str, str]]:
    headers = []
    for line in filter(None, map(str.strip, text.split("\n"))):
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not _HEADER_NAME.fullmatch(name) or _CONTROL.search(value):
            raise InvalidArgumentError(f"invalid header {line!r}: use the form Name: value")
        if name.lower() in _FORBIDDEN_HEADERS:
            raise InvalidArgumentError(f"the header {name} cannot be set: it follows from the endpoint and the body")
        headers.append((name, value))
    return headers


def _content_type(body: str) -> str:
    try:
        json.loads(body)
    except ValueError:
        return "text/plain; charset=utf-8"
    return "application/json"


async def send(request: EndpointRequest) -> dict[str, Any]:
    """Send a request and return the response as text.

    Returns:
        A dict with `status`, `reason`, `headers`, `body` (None: not text), `size` (the bytes that were read), `truncated` and
        `seconds`; or, without a response, with `failure` and `seconds`.
    """
    began = perf_counter()
    try:
        # Without the environment: its proxy and its .netrc are not for this request. Cookies of a response are not sent again.
        async with (
            ClientSession(
                timeout=ClientTimeout(total=TIMEOUT), auto_decompress=False, cookie_jar=DummyCookieJar()
            ) as session,
            session.request(
                request.method,
                request.url,
                headers=[("Accept-Encoding", "identity"), *request.sent_headers()],
                data=request.body.encode() or None,
                allow_redirects=False,
            ) as response,
        ):
            body = await read_first(response.content, MAX_BYTES + 1)
            seconds = perf_counter() - began
            return {**await _response(response, body), "seconds": seconds}
    except TimeoutError:
        failure = f"The response was not complete after {TIMEOUT:.0f} s."
    except (ClientError, OSError, ValueError) as error:
        failure = f"{error or type(error).__name__}"
    return {"failure": failure, "seconds": perf_counter() - began}


async def _response(response: ClientResponse, body: bytes) -> dict[str, Any]:
    shown = body[:MAX_BYTES]
    return {
        "status": response.status,
        "reason": response.reason,
        "headers": list(response.headers.items()),
        "body": await in_daemon_thread(_text, shown, response.charset),
        "size": len(shown),
        "truncated": len(body) > MAX_BYTES,
    }


def _text(body: bytes, charset: str | None) -> str | None:
    """Return a body as text. None: it is binary."""
    decoder = codecs.getincrementaldecoder(_codec(charset))(errors="replace")
    pieces = [decoder.decode(body[start : start + _PIECE]) for start in range(0, len(body), _PIECE)]
    text = "".join([*pieces, decoder.decode(b"", final=True)])
    return None if "\0" in text else text


def _codec(charset: str | None) -> str:
    """Return the codec of a charset: UTF-8 if it is unknown, or not one of `CODECS`."""
    with suppress(LookupError, ValueError):
        if (name := codecs.lookup(charset or "utf-8").name) in CODECS:
            return name
    return "utf-8"


def as_curl(request: EndpointRequest) -> str:
    """Return the command that sends a request with curl."""
    method = ["--head"] if request.method == "HEAD" else ["--request", request.method]
    parts = [["curl", "--include", *method, str(request.url)]]
    login = {"authorization"} if request.login else set()
    parts += [["--user", request.login]] if request.login else []
    parts += [["--header", f"{name}: {value}"] for name, value in request.sent_headers() if name.lower() not in login]
    parts += [["--data-raw", request.body]] if request.body else []
    return " \\\n  ".join(shlex.join(part) for part in parts)


def as_python(request: EndpointRequest) -> str:
    """Return the Python code that sends a request, with the standard library."""
    lines = [f"    {str(request.url)!r},", f"    method={request.method!r},"]
    if headers := request.sent_headers():
        lines.append(f"    headers={dict(headers)!r},")
    if request.body:
        lines.append(f"    data={request.body!r}.encode(),")
    return "\n".join(
        [
            "from urllib.request import Request, urlopen",
            "",
            "request = Request(",
            *lines,
            ")",
            f"with urlopen(request, timeout={TIMEOUT:.0f}) as response:",
            "    print(response.status, response.read().decode())",
        ]
    )
