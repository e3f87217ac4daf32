"""Clients, codes, tokens and keys of the OpenID provider."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _name(name: str, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, NAME, primary_key=key, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _bytes(name: str, key: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, primary_key=key, nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def upgrade() -> None:
    op.create_table(
        "openid_clients",
        _name("id", key=True),
        _bytes("title"),
        _text("redirects"),
        _bytes("digest"),
        _number("created"),
    )
    op.create_table(
        "openid_codes",
        _bytes("digest", key=True),
        _name("client"),
        _name("user"),
        _name("session"),
        _text("redirect"),
        _text("scope"),
        _bytes("nonce"),
        _text("challenge"),
        _number("signed_in"),
        _number("expires"),
        sa.Column("used", sa.Boolean, nullable=False),
    )
    op.create_table(
        "openid_tokens",
        _bytes("digest", key=True),
        _bytes("code"),
        _name("client"),
        _name("user"),
        _name("session"),
        _text("scope"),
        _number("expires"),
    )
    op.create_table(
        "openid_keys",
        _name("id", key=True),
        _bytes("sealed"),
        _text("public"),
        _number("created"),
    )
