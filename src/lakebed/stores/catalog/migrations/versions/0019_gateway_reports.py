"""Reports that gateways leave for each other: leases of limits, and load."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "gateway_reports",
        sa.Column("process", NAME, primary_key=True),
        sa.Column("kind", NAME, primary_key=True),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("written", sa.BigInteger, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.Column("format", sa.BigInteger, nullable=False),
    )
