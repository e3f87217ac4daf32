"""Last values are ordered by a time that no clock which was ahead can move."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    column = sa.Column("as_of", sa.BigInteger, nullable=False, server_default="0")
    op.add_column("last_values", column)
    op.execute("UPDATE last_values SET as_of = time")
