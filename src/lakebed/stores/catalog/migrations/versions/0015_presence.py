"""Which units are connected, and to which process."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "presence_leases",
        sa.Column("process", NAME, primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "unit_presence",
        sa.Column("unit", NAME, primary_key=True),
        sa.Column("process", NAME, primary_key=True),
    )
