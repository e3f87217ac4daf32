"""Tickets: secrets that work once, such as invitations."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "tickets",
        sa.Column("id", NAME, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("purpose", NAME, nullable=False),
        sa.Column("user", NAME, nullable=False),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("role", sa.BigInteger),
        sa.Column("account", sa.Boolean, nullable=False),
        sa.Column("maker", NAME, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("digest", name="tickets_digest"),
    )
