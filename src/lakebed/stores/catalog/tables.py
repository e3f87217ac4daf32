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
    Column("as_of", BigInteger, nullable=False),
    Column("field", Name, primary_key=True),
    Column("around", Utf8),
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

fills = Table(
    "fills",  # the newest of each policy
    metadata,
    Column("owner", Name, primary_key=True),
    Column("policy", Name, primary_key=True),
    Column("request", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("asked", BigInteger, nullable=False),
    Column("partitions", Text, nullable=False),  # JSON
    Column("cancelled", Boolean, nullable=False),
    Column("settled", Boolean, nullable=False),
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
    Column("hours", BigInteger, nullable=False, server_default="1"),
)

gateway_reports = Table(
    "gateway_reports",  # leases of limits and load; each row is replaced every few seconds
    metadata,
    Column("process", Name, primary_key=True),
    Column("kind", Name, primary_key=True),
    Column("beat", BigInteger, nullable=False),
    Column("written", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("format", BigInteger, nullable=False),  # of `state`
)

refusals = Table(
    "refusals",  # at the door: messages and connections, by kind
    metadata,
    Column("owner", Name, primary_key=True),
    Column("door", Name, primary_key=True),
    Column("client", Name, primary_key=True),
    Column("topic", Name, primary_key=True),
    Column("reason", Name, primary_key=True),
    Column("address", Name, nullable=False),
    Column("text", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
)

outbox_followers = Table(
    "outbox_followers",  # relays that follow policies
    metadata,
    Column("relay", Name, primary_key=True),
    Column("owner", Name, nullable=False),
    Column("policy", Name, nullable=False),
    Column("gives", Name, nullable=False),
    Column("hold", BigInteger, nullable=False),
)

outbox_streams = Table(
    "outbox_streams",  # how far each is numbered, and the bytes that wait
    metadata,
    Column("owner", Name, primary_key=True),
    Column("policy", Name, primary_key=True),
    Column("partition", BigInteger, primary_key=True, autoincrement=False),
    Column("reader", Name, primary_key=True),
    Column("next", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)

outbox_blocks = Table(
    "outbox_blocks",  # what policies gave, until relays have passed it on
    metadata,
    Column("owner", Name, primary_key=True),
    Column("policy", Name, primary_key=True),
    Column("partition", BigInteger, primary_key=True, autoincrement=False),
    Column("reader", Name, primary_key=True),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("records", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("format", BigInteger, nullable=False),  # of `state`
    Column("state", LargeBinary, nullable=False),
)

backfills = Table(
    "backfills",  # of relays
    metadata,
    Column("relay", Name, primary_key=True),
    Column("owner", Name, nullable=False),
    Column("name", Name, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("policy", Name, nullable=False),
    Column("gives", Name, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("cursor", Text, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("topics", BigInteger, nullable=False),
    Column("topics_done", BigInteger, nullable=False),
    Column("read", Boolean, nullable=False),
    Column("delivered", Boolean, nullable=False),
    Column("error", Text, nullable=False),
    Column("claimed", BigInteger, nullable=False),  # until when a process reads for it
)
