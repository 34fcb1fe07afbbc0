"""Run one GraphQL operation end to end: session, transport, retries, responses, validation, pagination."""
