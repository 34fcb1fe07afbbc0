"""The console: a web page to look at deployments and to change them, on the functions of `AsyncClient`.

    application         one handler of all requests: routes, errors, headers
    access              which requests are allowed: tokens, and the headers Host and Origin
    calls               run an action, or a stream with its heartbeats
    actions, streams    what the lists and the editor call
    deployment_*        what the page of one deployment calls
    static/             the page: plain ES modules and one style sheet, without packages

The page and Python talk by two kinds of requests. Both are POST with a JSON object, the arguments, as body:

    /console/api/NAME      an action. The response is JSON.
    /console/stream/NAME   a stream. The response has one JSON object a line: `{"value": ...}` for each value, `{}` as a
                           heartbeat, and as the last line `{"end": true}` or `{"error": ...}`. Without a last line, the
                           connection was lost, and the page asks again.

An action is `async def action(client, arguments)` in a dict `ACTIONS`, and returns anything that is JSON. A stream is an
async generator `async def stream(client, arguments)` in a dict `STREAMS`, and yields anything that is JSON. `arguments` is a
dict in which a missing key is an error of the caller. An error of the library becomes
`{"error": {"kind": "NotFoundError", "message": "...", "retryable": false}}`.
"""
