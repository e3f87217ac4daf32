"""Backfills of relays: what is passed on again of what a policy had kept."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "backfills",
        sa.Column("relay", NAME, primary_key=True),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("policy", NAME, nullable=False),
        sa.Column("gives", NAME, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("cursor", sa.Text, nullable=False),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("topics", sa.BigInteger, nullable=False),
        sa.Column("topics_done", sa.BigInteger, nullable=False),
        sa.Column("read", sa.Boolean, nullable=False),
        sa.Column("delivered", sa.Boolean, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("claimed", sa.BigInteger, nullable=False),
    )
