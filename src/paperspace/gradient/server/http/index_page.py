"""The HTML page that a browser gets at the API URL."""

from __future__ import annotations

from html import escape

_INDEX_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>Gradient Deployments, local server</title>
<h1>Gradient Deployments, local server</h1>
<p>This is the GraphQL API of Gradient Deployments on this machine, at <code>{url}</code>.
{runtime}</p>
{console}<p>To use it from the library and the command line, set the API URL and the API key that <code>gradient server</code>
printed:</p>
<pre>export PAPERSPACE_API_URL={url} PAPERSPACE_API_HOST={url}
export PAPERSPACE_API_KEY=KEY</pre>
<p>To send a request with curl:</p>
<pre>curl {url} -H 'Authorization: Bearer KEY' -H 'Content-Type: application/json' \\
  -d '{{"query": "{{ deployments {{ nodes {{ id name }} }} }}"}}'</pre>
</html>
"""


_CONSOLE = """<p>To look at the deployments, open <a href="/">the console</a>.</p>
"""


def index_page(url: str, *, simulated: bool, has_console: bool = False) -> str:
    """Return the page for a server with this API URL."""
    runtime = "Deployments are simulated; no containers run." if simulated else "Deployments run in containers."
    return _INDEX_PAGE.format(url=escape(url), runtime=runtime, console=_CONSOLE if has_console else "")
