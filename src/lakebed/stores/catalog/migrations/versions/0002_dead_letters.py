"""Dead letters hold all that sending again needs, and what became of them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    for column in (
        sa.Column("event", sa.BigInteger),
        sa.Column("id", sa.LargeBinary),
        sa.Column("error", sa.LargeBinary),
        sa.Column("aside", sa.BigInteger),
        sa.Column("fate", NAME),
    ):
        op.add_column("dead_letters", column)
    op.create_table(
        "dead_letter_fates",
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("fate", NAME, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
