"""A last value is that of a field, where messages have several values."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SAME = (
    "owner", "topic", "policy", "type", "time", "number", "text", "size", "partition", "offset",
    "id", "as_of",
)  # fmt: skip


def upgrade() -> None:
    # SQLite cannot change the key of a table that is there
    op.create_table(
        "new_last_values",
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("topic", NAME, primary_key=True),
        sa.Column("policy", NAME, primary_key=True),
        sa.Column("type", NAME, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("number", sa.Double),
        sa.Column("text", sa.LargeBinary),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("partition", sa.BigInteger, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("id", sa.LargeBinary, nullable=False),
        sa.Column("as_of", sa.BigInteger, nullable=False),
        sa.Column("field", NAME, primary_key=True),
        sqlite_with_rowid=False,
    )
    columns = ", ".join(f'"{name}"' for name in _SAME)
    op.execute(
        f"INSERT INTO new_last_values ({columns}, field) SELECT {columns}, '' FROM last_values"
    )
    op.drop_table("last_values")
    op.rename_table("new_last_values", "last_values")
