"""GraphQL: the executable schema, its resolvers, and the limits of a request."""
