"""Moves an embedded home to servers: see docs/decisions/006-migration.md."""
