"""The first schema: policies, last values, checkpoints, tokens, dead letters."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    revisions = op.create_table(
        "revisions",
        sa.Column("name", NAME, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(revisions, [{"name": "policies", "value": 0}])
    _policies()
    _streams()
    op.create_table(
        "tokens",
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("name", NAME, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("publish", sa.Text, nullable=False),
        sa.Column("read", sa.Text, nullable=False),
        sa.Column("admin", sa.Boolean, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("digest", name="tokens_digest"),
    )


def _policies() -> None:
    op.create_table(
        "policy_versions",
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("name", NAME, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "policies",
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("name", NAME, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["owner", "name", "version"],
            ["policy_versions.owner", "policy_versions.name", "policy_versions.version"],
            name="policies_version",
        ),
    )


def _streams() -> None:
    op.create_table(
        "last_values",
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
        sqlite_with_rowid=False,
    )
    op.create_table(
        "checkpoints",
        sa.Column("consumer", NAME, primary_key=True),
        sa.Column("partition", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("part", NAME, primary_key=True),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "dead_letters",
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("policy", NAME, primary_key=True),
        sa.Column("partition", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("offset", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("topic", NAME, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("reason", sa.LargeBinary, nullable=False),
    )
