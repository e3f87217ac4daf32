"""The byte ledger: what was counted of each hour."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "ledger_segments",
        sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("measure", NAME, primary_key=True),
        sa.Column("writer", NAME, primary_key=True),
        sa.Column("first", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.Column("format", sa.BigInteger, nullable=False),
    )
