"""Checkpoints name the format of their state."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column(
        "checkpoints", sa.Column("format", sa.BigInteger, nullable=False, server_default="1")
    )
