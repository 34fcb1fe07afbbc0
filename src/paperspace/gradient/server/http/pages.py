"""The page that a browser gets: what this is, and how to talk to it."""

from __future__ import annotations

from html import escape

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>Gradient Deployments, local server</title>
<h1>Gradient Deployments, local server</h1>
<p>This is the API of Gradient Deployments on this machine: GraphQL at <code>{url}</code>. It is meant for programs.
Deployments are simulated: their life is told, no container is run.</p>
<p>To let the library and the command line talk to it, with the key that <code>gradient server</code> printed:</p>
<pre>export PAPERSPACE_API_URL={url} PAPERSPACE_API_HOST={url}
export PAPERSPACE_API_KEY=KEY</pre>
<p>Or by hand:</p>
<pre>curl {url} -H 'Authorization: Bearer KEY' -H 'Content-Type: application/json' \\
  -d '{{"query": "{{ deployments {{ nodes {{ id name }} }} }}"}}'</pre>
</html>
"""


def welcome(url: str) -> str:
    """The page, in HTML."""
    return _PAGE.format(url=escape(url))
