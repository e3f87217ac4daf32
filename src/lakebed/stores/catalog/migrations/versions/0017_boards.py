"""Boards."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "boards",
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("name", NAME, primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("maker", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["owner"], ["owners.name"], name="boards_owner"),
    )
