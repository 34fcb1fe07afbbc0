"""An image whose containers use CPU, memory or time on request.

GET /cgi-bin/load?cpu      use as much CPU as there is
GET /cgi-bin/load?memory   keep 40 MB
GET /cgi-bin/load?none     end that
GET /cgi-bin/slow          respond after `SLOW` seconds
"""

from __future__ import annotations

from tests.engine.private_engine import PrivateEngine, busybox

IMAGE = "load:1"
SLOW = 0.4  # seconds

RUN = """#!/bin/sh
# Use CPU or memory, as /tmp/load says.
trap 'exit 0' TERM
echo none > /tmp/load
httpd -p 8080 -h /www
holder=
while true; do
    read -r load < /tmp/load
    if [ "$load" = cpu ]; then
        i=0
        while [ $i -lt 2000 ]; do i=$((i + 1)); done
    else
        sleep 0.1
    fi
    if [ "$load" = memory ] && [ -z "$holder" ]; then
        { head -c 40000000 /dev/zero; sleep 600; } | tail &
        holder=$!
    elif [ "$load" != memory ] && [ -n "$holder" ]; then
        kill $holder
        holder=
    fi
done
"""
RESPOND = "echo 'Content-Type: text/plain'; echo; echo ok"


def make_load_image(docker: PrivateEngine) -> None:
    """Make the image."""
    scripts = {
        "run": RUN,
        "www/cgi-bin/load": f"#!/bin/sh\necho $QUERY_STRING > /tmp/load\n{RESPOND}\n",
        "www/cgi-bin/slow": f"#!/bin/sh\nsleep {SLOW}\n{RESPOND}\n",
    }
    files = busybox("sh", "sleep", "httpd", "head", "tail")
    docker.import_image(IMAGE, files | scripts, 'ENTRYPOINT ["/run"]')
