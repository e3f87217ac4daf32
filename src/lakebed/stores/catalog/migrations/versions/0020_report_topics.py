"""Owners name the topics on which their units report."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    column = sa.Column("report_topics", sa.Text, nullable=False, server_default="{}")
    op.add_column("owners", column)
