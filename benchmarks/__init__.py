"""The benchmark: what the library costs, beside what its users have today and what the machine can do at all.

__main__   the environment of the peers, and the way into it
run        one run: every work, the table, and what is kept of it
works      what is measured: calls over TLS, lists, creates
processes  what is measured from the start of a process: imports, first calls, the command, memory
serving    the local server beside a plain endpoint
peers      the clients that are compared
stub       a TLS server that answers at once, so that clients are what differs
plain      the endpoint that anybody would write with graphql-core and aiohttp
timing     interleaved rounds, medians, ratios
report     the goals and the table
"""
