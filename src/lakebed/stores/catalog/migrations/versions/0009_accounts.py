"""Owners, users, members, sessions, units, shares, and the audit log."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BYTES = sa.LargeBinary  # text of people, in UTF-8


def _name(name: str, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, NAME, primary_key=key, nullable=False)


def _number(name: str, key: bool = False) -> sa.Column[int]:
    if key:
        return sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False)
    return sa.Column(name, sa.BigInteger, nullable=False)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _free(name: str) -> sa.Column[bytes]:
    return sa.Column(name, BYTES, nullable=False)


def _reference(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.name"], name=f"{table}_{column}")


def upgrade() -> None:
    _people()
    _units()
    op.create_table(
        "shares",
        _name("owner", key=True),
        _name("name", key=True),
        _text("topics"),
        _text("audience"),
        _text("may"),
        _number("created"),
        _number("updated"),
        _number("version"),
        _reference("shares", "owner", "owners"),
    )
    op.create_table(
        "audit",
        _number("number", key=True),
        _number("time"),
        _name("owner"),
        _free("actor"),
        _name("action"),
        _free("resource"),
        _free("address"),
        _name("result"),
    )
    op.create_index("ix_audit_time", "audit", ["time"])
    op.create_index("ix_audit_owner", "audit", ["owner"])
    op.add_column("tokens", sa.Column("role", sa.BigInteger, nullable=False, server_default="3"))
    op.add_column("tokens", sa.Column("expires", sa.BigInteger))
    op.add_column("tokens", sa.Column("maker", NAME, nullable=False, server_default=""))
    op.add_column("tokens", sa.Column("used", sa.BigInteger))
    _owners_of_what_is_there()


def _people() -> None:
    op.create_table(
        "owners",
        _name("name", key=True),
        _free("title"),
        _text("limits"),
        _flag("blocked"),
        _number("created"),
        sa.Column("deleted", sa.BigInteger),
    )
    op.create_table(
        "users",
        _name("name", key=True),
        _free("title"),
        _flag("admin"),
        _flag("blocked"),
        sa.Column("password", sa.Text),
        _flag("second_factor"),
        _number("created"),
    )
    op.create_table(
        "members",
        _name("owner", key=True),
        _name("user", key=True),
        _number("role"),
        _reference("members", "owner", "owners"),
        _reference("members", "user", "users"),
    )
    op.create_table(
        "sessions",
        _name("id", key=True),
        _free("digest"),
        _name("user"),
        _number("created"),
        _number("used"),
        _number("expires"),
        _free("address"),
        _free("agent"),
        _reference("sessions", "user", "users"),
        sa.UniqueConstraint("digest", name="sessions_digest"),
    )


def _units() -> None:
    op.create_table(
        "units",
        _name("uuid", key=True),
        _name("owner"),
        _name("name"),
        _text("publish"),
        _text("read"),
        _text("tags"),
        _name("visibility"),
        _text("limits"),
        _flag("blocked"),
        _number("created"),
        _number("updated"),
        _number("revision"),
        _reference("units", "owner", "owners"),
        sa.UniqueConstraint("owner", "name", name="units_name"),
    )
    op.create_index("ix_units_revision", "units", ["revision"])
    op.create_table("units_removed", _name("uuid", key=True), _number("revision"))
    op.create_index("ix_units_removed_revision", "units_removed", ["revision"])
    op.create_table(
        "unit_tokens",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        _name("unit"),
        sa.Column("expires", sa.BigInteger),
    )
    op.create_index("ix_unit_tokens_unit", "unit_tokens", ["unit"])
    op.create_table(
        "unit_statuses",
        _name("unit", key=True),
        sa.Column("seen", sa.BigInteger),
        sa.Column("state", sa.LargeBinary),
        sa.Column("state_at", sa.BigInteger),
        sa.Column("log_at", sa.BigInteger),
    )
    op.create_table(
        "unit_logs",
        _name("unit", key=True),
        _number("partition", key=True),
        _number("offset", key=True),
        _number("place", key=True),
        _number("time"),
        _name("level"),
        _free("text"),
    )
    op.create_index("ix_unit_logs_time", "unit_logs", ["time"])


def _owners_of_what_is_there() -> None:
    """Whoever had a token or a policy is an owner now; the admin's is that of a user, too."""
    moment = time.time_ns() // 1000
    connection = op.get_bind()
    there = sa.text("SELECT owner FROM tokens UNION SELECT owner FROM policy_versions")
    owners = {str(row.owner) for row in connection.execute(there)}
    table = sa.table(
        "owners",
        sa.column("name"), sa.column("title", BYTES), sa.column("limits"),
        sa.column("blocked", sa.Boolean), sa.column("created"),
    )  # fmt: skip
    op.bulk_insert(
        table,
        [
            {"name": name, "title": b"", "limits": "{}", "blocked": False, "created": moment}
            for name in sorted(owners)
        ],
    )
