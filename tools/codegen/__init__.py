"""The code generator: writes the typed code and the JSON Schema from the GraphQL files."""
