"""Tables of people, units and programs: who they are, and what they prove it by.

The other tables are in `tables`; `metadata` has all of them once this is imported. Secrets are
stored as their SHA-256; what must be read again is encrypted.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from lakebed.stores.catalog.tables import Name, Utf8
from lakebed.stores.catalog.tables import metadata as metadata

owners = Table(
    "owners",
    metadata,
    Column("name", Name, primary_key=True),
    Column("title", Utf8, nullable=False),
    Column("limits", Text, nullable=False),  # JSON
    Column("blocked", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("deleted", BigInteger),  # the row stays: no name is given twice
    Column("report_topics", Text, nullable=False, server_default="{}"),  # JSON
)

grant_changes = Table(
    "grant_changes",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("after", BigInteger, nullable=False),  # the version before it
    Column("concerned", Text),  # JSON: labels of subjects; NULL for anybody
)

users = Table(
    "users",
    metadata,
    Column("name", Name, primary_key=True),
    Column("title", Utf8, nullable=False),
    Column("admin", Boolean, nullable=False),
    Column("blocked", Boolean, nullable=False),
    Column("password", Text),  # argon2id; NULL for none
    Column("second_factor", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
)

members = Table(
    "members",
    metadata,
    Column("owner", Name, primary_key=True),
    Column("user", Name, primary_key=True),
    Column("role", BigInteger, nullable=False),
    ForeignKeyConstraint(["owner"], ["owners.name"], name="members_owner"),
    ForeignKeyConstraint(["user"], ["users.name"], name="members_user"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Name, primary_key=True),
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of the cookie
    Column("user", Name, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("address", Utf8, nullable=False),
    Column("agent", Utf8, nullable=False),
    ForeignKeyConstraint(["user"], ["users.name"], name="sessions_user"),
    UniqueConstraint("digest", name="sessions_digest"),
)

attempts = Table(
    "attempts",  # to sign in, by account and address
    metadata,
    Column("key", LargeBinary, primary_key=True),  # SHA-256
    Column("count", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),  # no attempt before
    Column("last", BigInteger, nullable=False, index=True),
)

factors = Table(
    "factors",  # second factors
    metadata,
    Column("id", Name, primary_key=True),
    Column("user", Name, nullable=False, index=True),
    Column("kind", Name, nullable=False),
    Column("name", Utf8, nullable=False),
    Column("secret", LargeBinary, nullable=False),  # encrypted; of passkeys the public key
    Column("credential", LargeBinary, nullable=False, index=True),  # id of a passkey
    Column("counter", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("used", BigInteger),
    ForeignKeyConstraint(["user"], ["users.name"], name="factors_user"),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("user", Name, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    ForeignKeyConstraint(["user"], ["users.name"], name="recovery_codes_user"),
)

tickets = Table(
    "tickets",  # secrets that work once
    metadata,
    Column("id", Name, primary_key=True),
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of the secret
    Column("purpose", Name, nullable=False),
    Column("user", Name, nullable=False),
    Column("owner", Name, nullable=False),
    Column("role", BigInteger),
    Column("account", Boolean, nullable=False),
    Column("maker", Name, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    UniqueConstraint("digest", name="tickets_digest"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("owner", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of the token
    Column("publish", Text, nullable=False),  # JSON list of MQTT filters
    Column("read", Text, nullable=False),
    Column("admin", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("role", BigInteger, nullable=False, server_default="3"),
    Column("expires", BigInteger),
    Column("maker", Name, nullable=False, server_default=""),  # a user
    Column("used", BigInteger),
    UniqueConstraint("digest", name="tokens_digest"),
)

units = Table(
    "units",
    metadata,
    Column("uuid", Name, primary_key=True),
    Column("owner", Name, nullable=False),
    Column("name", Name, nullable=False),
    Column("publish", Text, nullable=False),  # JSON list of MQTT filters
    Column("read", Text, nullable=False),
    Column("tags", Text, nullable=False),  # JSON list
    Column("visibility", Name, nullable=False),
    Column("limits", Text, nullable=False),  # JSON
    Column("blocked", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False, index=True),
    ForeignKeyConstraint(["owner"], ["owners.name"], name="units_owner"),
    UniqueConstraint("owner", "name", name="units_name"),
)

units_removed = Table(
    "units_removed",
    metadata,
    Column("uuid", Name, primary_key=True),
    Column("revision", BigInteger, nullable=False, index=True),
)

unit_tokens = Table(
    "unit_tokens",
    metadata,
    Column("digest", LargeBinary, primary_key=True),  # SHA-256 of the token
    Column("unit", Name, nullable=False, index=True),
    Column("expires", BigInteger),  # NULL for the newest; others work for a grace
)

unit_statuses = Table(
    "unit_statuses",
    metadata,
    Column("unit", Name, primary_key=True),
    Column("seen", BigInteger),
    Column("state", LargeBinary),
    Column("state_at", BigInteger),
    Column("log_at", BigInteger),
)

presence_leases = Table(
    "presence_leases",
    metadata,
    Column("process", Name, primary_key=True),
    Column("until", BigInteger, nullable=False),
)

unit_presence = Table(
    "unit_presence",
    metadata,
    Column("unit", Name, primary_key=True),
    Column("process", Name, primary_key=True),
)

unit_logs = Table(
    "unit_logs",
    metadata,
    Column("unit", Name, primary_key=True),
    Column("partition", BigInteger, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("place", BigInteger, primary_key=True, autoincrement=False),  # in the message
    Column("time", BigInteger, nullable=False, index=True),
    Column("level", Name, nullable=False),
    Column("text", Utf8, nullable=False),
)

shares = Table(
    "shares",
    metadata,
    Column("owner", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("topics", Text, nullable=False),  # JSON list of MQTT filters
    Column("audience", Text, nullable=False),  # JSON list
    Column("may", Text, nullable=False),  # JSON list
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    ForeignKeyConstraint(["owner"], ["owners.name"], name="shares_owner"),
)

boards = Table(
    "boards",
    metadata,
    Column("owner", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("document", Text, nullable=False),  # JSON, ASCII alone
    Column("maker", Utf8, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    ForeignKeyConstraint(["owner"], ["owners.name"], name="boards_owner"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("owner", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),  # ciphertext, see `lakebed.secrets.keys`
    Column("key", Name, nullable=False),  # id of the key
    Column("writer", Utf8, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    ForeignKeyConstraint(["owner"], ["owners.name"], name="secrets_owner"),
)

relays = Table(
    "relays",
    metadata,
    Column("owner", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("document", Text, nullable=False),  # JSON, ASCII alone
    Column("maker", Utf8, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("starts", Text, nullable=False),  # JSON: offset by partition
    Column("since", BigInteger),  # where it was rewound
    Column("resumed", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    ForeignKeyConstraint(["owner"], ["owners.name"], name="relays_owner"),
)

openid_clients = Table(
    "openid_clients",
    metadata,
    Column("id", Name, primary_key=True),
    Column("title", Utf8, nullable=False),
    Column("redirects", Text, nullable=False),  # JSON list
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of its secret
    Column("created", BigInteger, nullable=False),
)

openid_codes = Table(
    "openid_codes",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("client", Name, nullable=False),
    Column("user", Name, nullable=False),
    Column("session", Name, nullable=False),
    Column("redirect", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("nonce", Utf8, nullable=False),
    Column("challenge", Text, nullable=False),
    Column("signed_in", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("used", Boolean, nullable=False),
)

openid_tokens = Table(
    "openid_tokens",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("code", LargeBinary, nullable=False),  # digest of the code that it came of
    Column("client", Name, nullable=False),
    Column("user", Name, nullable=False),
    Column("session", Name, nullable=False),
    Column("scope", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
)

openid_keys = Table(
    "openid_keys",
    metadata,
    Column("id", Name, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("public", Text, nullable=False),  # a JSON Web Key
    Column("created", BigInteger, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # grows with the time
    Column("time", BigInteger, nullable=False, index=True),
    Column("owner", Name, nullable=False, index=True),
    Column("actor", Utf8, nullable=False),
    Column("action", Name, nullable=False),
    Column("resource", Utf8, nullable=False),
    Column("address", Utf8, nullable=False),
    Column("result", Name, nullable=False),
)
