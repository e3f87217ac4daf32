"""Secrets by name."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "secrets",
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("name", NAME, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("key", NAME, nullable=False),
        sa.Column("writer", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["owner"], ["owners.name"], name="secrets_owner"),
    )
