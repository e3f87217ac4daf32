"""Relays."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "relays",
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("name", NAME, primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("maker", sa.LargeBinary, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("starts", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger),
        sa.Column("resumed", sa.BigInteger, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["owner"], ["owners.name"], name="relays_owner"),
    )
