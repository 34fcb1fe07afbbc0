"""HTTP: the listener, the middleware, the routes, and the parsing of GraphQL requests."""
