"""The catalog: the SQL store of what is small and must be exact."""
