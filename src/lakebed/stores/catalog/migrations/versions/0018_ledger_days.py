"""Segments of the byte ledger that are of several hours."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    hours = sa.Column("hours", sa.BigInteger, nullable=False, server_default="1")
    op.add_column("ledger_segments", hours)
