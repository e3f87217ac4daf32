"""Notes of processes for each other, such as that the series is lost."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "notes",
        sa.Column("name", NAME, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
    )
