"""Dead letters carry the attributes of their message."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("dead_letters", sa.Column("attributes", sa.LargeBinary))
