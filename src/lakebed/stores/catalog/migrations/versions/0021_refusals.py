"""What was refused at the door, by kind."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
KEY = ("owner", "door", "client", "topic", "reason")


def upgrade() -> None:
    op.create_table(
        "refusals",
        *(sa.Column(name, NAME, primary_key=True) for name in KEY),
        sa.Column("address", NAME, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
    )
