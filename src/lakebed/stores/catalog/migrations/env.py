"""Runs the steps on the connection, and inside the transaction, that `migrate.py` brings."""

from alembic import context

from lakebed.stores.catalog.account_tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite too, since the engine says BEGIN itself
)
with context.begin_transaction():
    context.run_migrations()
