"""GraphQL: the executable schema, its resolvers, the execution of requests, and their limits."""
