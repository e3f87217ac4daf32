"""Tables of the catalog, as SQLAlchemy Core; the same for SQLite and PostgreSQL.

Tables of user data have the owner first in their key. Checkpoints belong to a consumer; parts that
concern an owner have it in their name ("owner/name@version").

Times are microseconds since the epoch (`times.Micros`). A change here needs a migration in
`migrations/versions`; a test compares the two.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKeyConstraint,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData()

Name = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is compared byte by byte on both databases, so that order and prefixes agree."""


class Utf8(TypeDecorator[str]):
    """Stores any text of a sender, as bytes.

    PostgreSQL's TEXT refuses U+0000, and both databases refuse lone surrogates, which JSON allows.
    One such value must not make the other rows of its statement fail.
    """

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else to_utf8(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        return None if value is None else value.decode("utf-8", "surrogatepass")


def to_utf8(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


revisions = Table(
    "revisions",
    metadata,
    Column("name", Name, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

policy_versions = Table(
    "policy_versions",
    metadata,
    Column("owner", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),  # JSON, in ASCII
    Column("created", BigInteger, nullable=False),  # when the policy's first version was made
    Column("updated", BigInteger, nullable=False),  # when this version was made
)

policies = Table(
    "policies",  # which version is in force
    metadata,
    Column("owner", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("version", BigInteger, nullable=False),
    ForeignKeyConstraint(
        ["owner", "name", "version"],
        ["policy_versions.owner", "policy_versions.name", "policy_versions.version"],
        name="policies_version",
    ),
)

last_values = Table(
    "last_values",
    metadata,
    # Topic before policy: the key then serves ordered answers, one topic and a prefix.
    Column("owner", Name, primary_key=True),
    Column("topic", Name, primary_key=True),
    Column("policy", Name, primary_key=True),
    Column("type", Name, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("number", Double),
    Column("text", Utf8),
    Column("size", BigInteger, nullable=False),
    Column("partition", BigInteger, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("id", Utf8, nullable=False),
    sqlite_with_rowid=False,
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("consumer", Name, primary_key=True),
    Column("partition", BigInteger, primary_key=True, autoincrement=False),
    Column("part", Name, primary_key=True),
    Column("offset", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("format", BigInteger, nullable=False, server_default="1"),  # of `state`
)

owners = Table(
    "owners",
    metadata,
    Column("name", Name, primary_key=True),
    Column("title", Utf8, nullable=False),
    Column("limits", Text, nullable=False),  # JSON
    Column("blocked", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("deleted", BigInteger),  # the row stays: no name is given twice
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

parked_orders = Table(
    "parked_orders",
    metadata,
    Column("owner", Name, primary_key=True),
    Column("partition", BigInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("messages", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("wish", Name, nullable=False),
    Column("next", BigInteger, nullable=False),
    Column("done", Boolean, nullable=False),
    Column("asked", BigInteger, nullable=False),
    Column("claimed", BigInteger, nullable=False),  # until when a process has it
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("owner", Name, primary_key=True),
    Column("policy", Name, primary_key=True),
    Column("partition", BigInteger, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("topic", Name, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("reason", Utf8, nullable=False),
    Column("event", BigInteger),
    Column("id", Utf8),
    Column("error", Utf8),
    Column("aside", BigInteger),  # when it was put aside
    Column("attributes", Utf8),  # JSON of those that are set; NULL for none
    # NULL until settled; then only the key stays, so that a replay does not add it again
    Column("fate", Name),
)

dead_letter_fates = Table(
    "dead_letter_fates",
    metadata,
    Column("owner", Name, primary_key=True),
    Column("fate", Name, primary_key=True),
    Column("count", BigInteger, nullable=False),
)

forgets = Table(
    "forgets",  # erasure orders to keepers, one row for each partition
    metadata,
    Column("request", BigInteger, primary_key=True, autoincrement=False),
    Column("partition", BigInteger, primary_key=True, autoincrement=False),
    Column("until", BigInteger, nullable=False),  # the partition's end at the time of the request
    Column("asked", BigInteger, nullable=False),
    Column("owner", Name, nullable=False),
    Column("topic", Name, nullable=False),
    Column("policy", Name),
    Column("start", BigInteger),
    Column("end", BigInteger),
    # NULL until the keeper of the partition has erased; then its offset
    Column("place", BigInteger),
    Column("last", BigInteger),
)

notes = Table(
    "notes",  # of processes for each other
    metadata,
    Column("name", Name, primary_key=True),
    Column("text", Text, nullable=False),
)

journal_identity = Table(
    "journal_identity",  # one row: which topic the journal is
    metadata,
    Column("name", Name, primary_key=True),
    Column("topic", Name, nullable=False),
    Column("id", Name, nullable=False),
    Column("partitions", BigInteger, nullable=False),
    Column("base", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("begin", Text, nullable=False),  # JSON: partition -> record
)

journal_appended = Table(
    "journal_appended",
    metadata,
    Column("writer", Name, primary_key=True),
    Column("partition", BigInteger, primary_key=True, autoincrement=False),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("end", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("owners", Text, nullable=False),  # JSON: owner -> messages
    Column("counts", LargeBinary, nullable=False),  # of each record; see journal.py
)

journal_losses = Table(
    "journal_losses",
    metadata,
    Column("consumer", Name, primary_key=True),
    Column("partition", BigInteger, primary_key=True, autoincrement=False),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("end", BigInteger, nullable=False),
    Column("reason", Name, nullable=False),
    Column("messages", BigInteger, nullable=False),
    Column("owners", Text, nullable=False),  # JSON: owner -> messages that flow counts as lost
    Column("at", BigInteger, nullable=False),
    Column("seen", Boolean, nullable=False),
)

ledger_segments = Table(
    "ledger_segments",  # of the byte ledger; each is of all owners
    metadata,
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    Column("measure", Name, primary_key=True),
    Column("writer", Name, primary_key=True),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("rows", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("format", BigInteger, nullable=False),  # of `state`
)
