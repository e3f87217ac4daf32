"""Orders to fill policies from the journal's past."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "fills",
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("policy", NAME, primary_key=True),
        sa.Column("request", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("asked", sa.BigInteger, nullable=False),
        sa.Column("partitions", sa.Text, nullable=False),
        sa.Column("cancelled", sa.Boolean, nullable=False),
        sa.Column("settled", sa.Boolean, nullable=False),
    )
