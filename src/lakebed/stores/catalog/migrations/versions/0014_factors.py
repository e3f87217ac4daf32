"""Second factors of users, and recovery codes."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "factors",
        sa.Column("id", NAME, primary_key=True),
        sa.Column("user", NAME, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("name", sa.LargeBinary, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("credential", sa.LargeBinary, nullable=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("used", sa.BigInteger),
        sa.ForeignKeyConstraint(["user"], ["users.name"], name="factors_user"),
    )
    op.create_index("ix_factors_user", "factors", ["user"])
    op.create_index("ix_factors_credential", "factors", ["credential"])
    op.create_table(
        "recovery_codes",
        sa.Column("user", NAME, primary_key=True),
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.ForeignKeyConstraint(["user"], ["users.name"], name="recovery_codes_user"),
    )
