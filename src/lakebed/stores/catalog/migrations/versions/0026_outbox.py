"""What policies gave waits in the catalog for the relays that follow them."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "outbox_followers",
        sa.Column("relay", NAME, primary_key=True),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("policy", NAME, nullable=False),
        sa.Column("gives", NAME, nullable=False),
        sa.Column("hold", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "outbox_streams",
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("policy", NAME, primary_key=True),
        sa.Column("partition", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("reader", NAME, primary_key=True),
        sa.Column("next", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "outbox_blocks",
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("policy", NAME, primary_key=True),
        sa.Column("partition", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("reader", NAME, primary_key=True),
        sa.Column("first", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("format", sa.BigInteger, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )
