"""Alembic scripts of the catalog; run by `catalog/migrate.py`."""
