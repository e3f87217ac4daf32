"""Changes of grants tell whom they concern."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.create_table(
        "grant_changes",
        sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("after", sa.BigInteger, nullable=False),
        sa.Column("concerned", sa.Text),
    )
    op.execute("DELETE FROM revisions WHERE name IN ('grants added since', 'grants added up to')")
