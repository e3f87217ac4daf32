"""One module per step of the schema, in order of their numbers."""
