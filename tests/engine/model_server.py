"""A model server for the spec of the documentation: it runs in a container, with only Python's standard library.

GET /v1/models/mnist   status 200 two seconds after the start, and 503 before; the headers are remembered
GET /                  what the container has and has received, as JSON, after `s` seconds
POST /                 removes the file that the liveness check looks for
"""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

STARTED = time.monotonic()
HEALTHY = Path("/tmp/healthy")
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
checks: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/v1/models/mnist":
            ready = time.monotonic() - STARTED > 2
            checks.append({"host": self.headers["Host"], "check": self.headers["X-Check"], "ready": ready})
            self.respond(200 if ready else 503, {})
            return
        time.sleep(float(dict(parse_qsl(url.query)).get("s", "0")))
        limit = next(Path(path).read_text().strip() for path in LIMITS if Path(path).exists())
        self.respond(
            200,
            {
                "arguments": sys.argv[1:],
                "port": self.connection.getsockname()[1],
                "model name": os.environ["MODEL_NAME"],
                "model": Path("/opt/models/mnist/weights").read_text(),
                "code": Path("/opt/repositories/serving/index.html").read_text(),
                "memory": limit,
                "started": STARTED,
                "host": os.uname().nodename,
                "authorization": self.headers["Authorization"],
                "checks": checks,
            },
        )

    def do_POST(self) -> None:
        HEALTHY.unlink()
        self.respond(200, {})

    def respond(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


HEALTHY.touch()
ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1].partition("=")[2])), Handler).serve_forever()
