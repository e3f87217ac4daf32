"""Alembic scripts of the catalog; run by `stores/catalog/migrate.py`."""
