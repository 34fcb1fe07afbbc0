"""The benchmark: the library compared with other clients, and with plain aiohttp.

__main__   installs the other clients into an environment, and starts `run` in it
run        the command: runs the measurements, prints the report
calls      measurements of calls over TLS: gets, lists, creates
processes  measurements of whole processes: imports, first calls, the command, memory
serving    measurements of the local server and a plain endpoint
peers      the other clients
stub       a TLS server with prepared responses, so that only the clients differ
plain      a simple endpoint with graphql-core and aiohttp
child      servers as child processes
timing     interleaved rounds, medians, ratios
report     the goals and the tables
growth     the command with --growth: the local server with a thousand to a million deployments
growth_report  its goals and its table
page       writes the tables into docs/performance.md
"""
