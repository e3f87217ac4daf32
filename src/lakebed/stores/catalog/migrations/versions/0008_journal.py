"""Which topic the journal is, what was appended to it, and what of it was lost."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _number(name: str, key: bool = False) -> sa.Column[int]:
    if key:
        return sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False)
    return sa.Column(name, sa.BigInteger, nullable=False)


def upgrade() -> None:
    op.create_table(
        "journal_identity",
        sa.Column("name", NAME, primary_key=True),
        sa.Column("topic", NAME, nullable=False),
        sa.Column("id", NAME, nullable=False),
        _number("partitions"),
        _number("base"),
        _number("changed"),
        sa.Column("begin", sa.Text, nullable=False),
    )
    op.create_table(
        "journal_appended",
        sa.Column("writer", NAME, primary_key=True),
        _number("partition", key=True),
        _number("start", key=True),
        _number("end"),
        _number("records"),
        sa.Column("owners", sa.Text, nullable=False),
        sa.Column("counts", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "journal_losses",
        sa.Column("consumer", NAME, primary_key=True),
        _number("partition", key=True),
        _number("start", key=True),
        _number("end"),
        sa.Column("reason", NAME, nullable=False),
        _number("messages"),
        sa.Column("owners", sa.Text, nullable=False),
        _number("at"),
        sa.Column("seen", sa.Boolean, nullable=False),
    )
