"""Messages, topics, times and errors: the types that all parts of Lakebed use. No I/O."""
