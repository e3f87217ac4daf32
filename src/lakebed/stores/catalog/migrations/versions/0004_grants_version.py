"""A version that grows when what anybody may do changes."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    revisions = sa.table("revisions", sa.column("name"), sa.column("value"))
    op.bulk_insert(revisions, [{"name": "grants", "value": 0}])
