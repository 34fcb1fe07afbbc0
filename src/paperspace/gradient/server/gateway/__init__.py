"""The gateway: an Envoy process that sends the requests of endpoints to containers.

Envoy reads its configuration from files that this package writes. It keeps running when the server ends, and the next
server takes it over. The files are also where a server finds the routes of the one before.
"""
