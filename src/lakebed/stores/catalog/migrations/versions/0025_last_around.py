"""A last value has what surrounded its message, where its policy keeps that."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("last_values", sa.Column("around", sa.LargeBinary))
