"""Orders to keepers to let go of what is about to be deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "forgets",
        sa.Column("request", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("partition", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("asked", sa.BigInteger, nullable=False),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("topic", NAME, nullable=False),
        sa.Column("policy", NAME),
        sa.Column("start", sa.BigInteger),
        sa.Column("end", sa.BigInteger),
        sa.Column("place", sa.BigInteger),
        sa.Column("last", sa.BigInteger),
    )
