"""The table of actions: the resource of each, and the grants that it requires.

Every way in names one of them: routes, MQTT packets, commands. `docs/reference/access.md` shows
this table.
"""

from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import Literal, TypeAlias

from lakebed.vocabulary.roles import Role


class Action(StrEnum):
    """The operations that access control tells apart."""

    HEALTH_READ = "health.read"
    API_DESCRIBE = "api.describe"

    ME_READ = "me.read"
    SESSION_BEGIN = "session.begin"
    SESSION_END = "session.end"

    USERS_READ = "users.read"
    USERS_CHANGE = "users.change"
    USERS_ADMINISTER = "users.administer"
    USERS_RECOVER = "users.recover"

    OWNERS_READ = "owners.read"
    OWNERS_CHANGE = "owners.change"
    OWNERS_DELETE = "owners.delete"
    OWNERS_ADMINISTER = "owners.administer"
    MEMBERS_WRITE = "members.write"
    INVITATIONS_READ = "invitations.read"
    INVITATIONS_WRITE = "invitations.write"
    INVITATIONS_ACCEPT = "invitations.accept"

    AUDIT_READ = "audit.read"

    EMQX_AUTHN = "emqx.authn"
    EMQX_AUTHZ = "emqx.authz"

    CONNECTION_OPEN = "connection.open"
    MESSAGES_PUBLISH = "messages.publish"
    MESSAGES_FOLLOW = "messages.follow"

    RECORDS_READ = "records.read"
    RECORDS_DELETE = "records.delete"

    POLICIES_READ = "policies.read"
    POLICIES_PREVIEW = "policies.preview"
    POLICIES_WRITE = "policies.write"
    POLICIES_DELETE = "policies.delete"
    POLICIES_FILL = "policies.fill"

    FLOW_READ = "flow.read"
    TOPICS_READ = "topics.read"
    USAGE_READ = "usage.read"
    LEDGER_READ = "ledger.read"

    REFUSALS_READ = "refusals.read"

    DEAD_LETTERS_READ = "dead_letters.read"
    DEAD_LETTERS_RESEND = "dead_letters.resend"
    DEAD_LETTERS_DROP = "dead_letters.drop"

    UNITS_READ = "units.read"
    UNITS_WRITE = "units.write"
    UNITS_DELETE = "units.delete"
    UNITS_ROTATE = "units.rotate"
    UNITS_LOG = "units.log"

    SHARES_READ = "shares.read"
    SHARES_WRITE = "shares.write"
    SHARES_DELETE = "shares.delete"

    BOARDS_READ = "boards.read"
    BOARDS_WRITE = "boards.write"

    RELAYS_READ = "relays.read"
    RELAYS_WRITE = "relays.write"

    SECRETS_READ = "secrets.read"
    SECRETS_WRITE = "secrets.write"
    SECRETS_ROTATE = "secrets.rotate"

    TOKENS_READ = "tokens.read"
    TOKENS_CREATE = "tokens.create"
    TOKENS_REVOKE = "tokens.revoke"

    OPENID_READ = "openid.read"
    OPENID_SIGN_IN = "openid.sign_in"
    OPENID_CLIENTS_READ = "openid_clients.read"
    OPENID_CLIENTS_WRITE = "openid_clients.write"

    LIMITS_READ = "limits.read"
    LOAD_READ = "load.read"
    PARKED_READ = "parked.read"
    PARKED_SETTLE = "parked.settle"

    JOURNAL_READ = "journal.read"
    JOURNAL_ACKNOWLEDGE = "journal.acknowledge"
    JOURNAL_DROP_CONSUMER = "journal.drop_consumer"
    JOURNAL_ADOPT = "journal.adopt"

    SERIES_READ = "series.read"
    SERIES_ACKNOWLEDGE = "series.acknowledge"

    SOURCES_READ = "sources.read"

    BACKUPS_READ = "backups.read"
    BACKUPS_TAKE = "backups.take"
    BACKUPS_RESTORE = "backups.restore"

    INSTANCE_RUN = "instance.run"
    INSTANCE_EXAMINE = "instance.examine"
    INSTANCE_MIGRATE = "instance.migrate"


Filters: TypeAlias = Literal["read", "publish"]
"""The filters of a grant, by the name of its attribute."""


class About(Enum):
    """The kind of resource that an action concerns."""

    NOTHING = "anyone may"
    INSTANCE = "the instance"
    MACHINE = "the stores of this machine"
    BROKER = "clients of a broker"
    SELF = "whoever asks"
    USER = "a user"
    OWNER = "an owner"
    TOPICS = "topics of an owner"


@dataclass(frozen=True, slots=True)
class Rule:
    """The requirements of an action.

    Attributes:
        does: completes "this token may not ...", in front of the topic.
        sentence: what it is, for the reference.
        role: the least that a grant in the owner must have.
        filters: which of the grants' filters must cover the topics.
        whole: a filter `#` counts as all topics of the owner, those with `$` too.
        shown: what its owner shows to everybody counts, whatever the grants.
        programs: the least role of those who are no users, where that is greater.
        shared: what others share counts, whatever the role: listing what may be read anyway.
    """

    about: About
    does: str
    sentence: str
    role: Role = Role.DEVICE
    filters: tuple[Filters, ...] = ()
    whole: bool = False
    shown: bool = False
    programs: Role = Role.DEVICE
    shared: bool = False


_READ: tuple[Filters, ...] = ("read",)
_PUBLISH: tuple[Filters, ...] = ("publish",)
_BOTH: tuple[Filters, ...] = ("read", "publish")


def _public(does: str, sentence: str) -> Rule:
    return Rule(About.NOTHING, does, sentence)


def _admin(does: str, sentence: str) -> Rule:
    return Rule(About.INSTANCE, does, sentence)


def _local(does: str, sentence: str) -> Rule:
    return Rule(About.MACHINE, does, sentence)


def _self(does: str, sentence: str) -> Rule:
    return Rule(About.SELF, does, sentence)


def _user(does: str, sentence: str) -> Rule:
    return Rule(About.USER, does, sentence)


def _broker(does: str, sentence: str) -> Rule:
    return Rule(About.BROKER, does, sentence)


def _owner(does: str, sentence: str, role: Role = Role.DEVICE) -> Rule:
    return Rule(About.OWNER, does, sentence, role)


def _topics(
    does: str, sentence: str, filters: tuple[Filters, ...], role: Role = Role.DEVICE
) -> Rule:
    return Rule(About.TOPICS, does, sentence, role, filters)


def _policy(does: str, sentence: str, filters: tuple[Filters, ...], role: Role) -> Rule:
    return Rule(About.TOPICS, f"{does} policies on", sentence, role, filters, whole=True)


def _unit(
    does: str, sentence: str, filters: tuple[Filters, ...], role: Role, shown: bool = False
) -> Rule:
    return Rule(About.TOPICS, f"{does} units with", sentence, role, filters, True, shown)


def _share(does: str, sentence: str, filters: tuple[Filters, ...], role: Role) -> Rule:
    return Rule(About.TOPICS, f"{does} shares of", sentence, role, filters, True)


def _board(does: str, sentence: str, role: Role, shown: bool = False) -> Rule:
    return Rule(About.TOPICS, f"{does} boards with", sentence, role, _READ, True, shown)


def _relay(does: str, sentence: str, role: Role) -> Rule:
    return Rule(About.TOPICS, f"{does} relays of", sentence, role, _READ, True)


def _secrets(does: str, sentence: str) -> Rule:
    return Rule(About.TOPICS, f"{does} secrets with", sentence, Role.EDITOR, _BOTH, True)


def _own_tokens(does: str, sentence: str) -> Rule:
    return Rule(About.OWNER, does, sentence, Role.VIEWER, programs=Role.MANAGER)


RULES: dict[Action, Rule] = {
    Action.HEALTH_READ: _public(
        "ask for health", "asks whether a process works, and for its metrics"
    ),
    Action.API_DESCRIBE: _public("read the reference", "reads the description of the routes"),
    Action.ME_READ: _self("ask who it is", "asks who it is, and what it may"),
    Action.SESSION_BEGIN: _public("sign in", "signs in"),
    Action.SESSION_END: _self("sign out", "signs out"),
    Action.USERS_READ: _user("look at users", "reads users and their sessions"),
    Action.USERS_CHANGE: _user(
        "change users", "changes a user's title, password and second factors, ends their sessions"
    ),
    Action.USERS_ADMINISTER: _admin(
        "administer users", "makes, blocks and deletes users, and makes them admins"
    ),
    Action.USERS_RECOVER: _public("use a link", "sets a password by a one-time link"),
    Action.OWNERS_READ: _owner("look at owners", "reads an owner and its members", Role.VIEWER),
    Action.OWNERS_CHANGE: _owner("change owners", "changes an owner's title", Role.MANAGER),
    Action.OWNERS_DELETE: _owner("delete owners", "deletes an owner", Role.MANAGER),
    Action.OWNERS_ADMINISTER: _admin("administer owners", "makes owners, and blocks them"),
    Action.MEMBERS_WRITE: _owner(
        "change members", "adds and removes members, and changes their roles", Role.MANAGER
    ),
    Action.INVITATIONS_READ: _owner(
        "list invitations", "lists invitations, never their codes", Role.MANAGER
    ),
    Action.INVITATIONS_WRITE: _owner(
        "invite people", "makes invitations, and takes them back", Role.MANAGER
    ),
    Action.INVITATIONS_ACCEPT: _public("accept invitations", "accepts an invitation"),
    Action.AUDIT_READ: _owner("read the audit log", "reads who did what", Role.MANAGER),
    Action.EMQX_AUTHN: _broker("ask who clients are", "asks who a client of the broker is"),
    Action.EMQX_AUTHZ: _broker("ask what clients may", "asks what a client of the broker may"),
    Action.CONNECTION_OPEN: _owner("connect", "opens an MQTT connection and its session"),
    Action.MESSAGES_PUBLISH: _topics("publish to", "sends messages, including wills", _PUBLISH),
    Action.MESSAGES_FOLLOW: _topics("read", "follows messages as they become durable", _READ),
    Action.RECORDS_READ: _topics("read", "reads what policies kept, including last values", _READ),
    Action.RECORDS_DELETE: _admin("delete records", "deletes what policies kept"),
    Action.POLICIES_READ: _policy("read", "reads policies", _READ, Role.VIEWER),
    Action.POLICIES_PREVIEW: _policy(
        "preview", "asks what a policy would have kept", _READ, Role.VIEWER
    ),
    Action.POLICIES_WRITE: _policy(
        "change", "checks, writes and replaces policies", _BOTH, Role.EDITOR
    ),
    Action.POLICIES_DELETE: _policy("change", "deletes policies", _BOTH, Role.EDITOR),
    Action.POLICIES_FILL: _policy(
        "fill", "fills policies from the journal's past", _BOTH, Role.EDITOR
    ),
    Action.FLOW_READ: _topics("read", "reads counts of messages by outcome", _READ, Role.VIEWER),
    Action.TOPICS_READ: replace(_topics("read", "lists topics", _READ, Role.VIEWER), shared=True),
    Action.USAGE_READ: _topics("read", "reads how much is kept", _READ, Role.VIEWER),
    Action.LEDGER_READ: _topics(
        "read", "reads who sent, kept and read how much, by hour", _READ, Role.VIEWER
    ),
    Action.REFUSALS_READ: _topics(
        "read", "looks at what was refused at the door", _READ, Role.VIEWER
    ),
    Action.DEAD_LETTERS_READ: _topics("read", "looks at dead letters", _READ, Role.VIEWER),
    Action.DEAD_LETTERS_RESEND: _topics(
        "publish to", "sends dead letters again", _BOTH, Role.EDITOR
    ),
    Action.DEAD_LETTERS_DROP: _topics("publish to", "drops dead letters", _BOTH, Role.EDITOR),
    Action.UNITS_READ: _unit("see", "reads units and their state", _READ, Role.VIEWER, shown=True),
    Action.UNITS_WRITE: _unit(
        "change", "checks, writes, blocks and unblocks units", _BOTH, Role.EDITOR
    ),
    Action.UNITS_DELETE: _unit("delete", "deletes units", _BOTH, Role.EDITOR),
    Action.UNITS_ROTATE: _unit("make tokens of", "gives units new tokens", _BOTH, Role.EDITOR),
    Action.UNITS_LOG: _unit("read the log of", "reads the log of a unit", _READ, Role.VIEWER),
    Action.SHARES_READ: _share("see", "reads shares", _READ, Role.VIEWER),
    Action.SHARES_WRITE: _share("open", "checks, writes and replaces shares", _BOTH, Role.MANAGER),
    Action.SHARES_DELETE: _share("close", "ends shares", _BOTH, Role.MANAGER),
    Action.BOARDS_READ: _board("see", "reads boards", Role.VIEWER, shown=True),
    Action.BOARDS_WRITE: _board(
        "change", "checks, writes, replaces and deletes boards", Role.EDITOR
    ),
    Action.RELAYS_READ: _relay("see", "reads relays and their status", Role.VIEWER),
    Action.RELAYS_WRITE: _relay(
        "change", "checks, writes, pauses, rewinds and deletes relays", Role.EDITOR
    ),
    Action.SECRETS_READ: _secrets("list", "lists secrets, never their values"),
    Action.SECRETS_WRITE: _secrets("write", "writes, replaces and deletes secrets"),
    Action.SECRETS_ROTATE: _admin("change keys", "encrypts the secrets of all by another key"),
    Action.TOKENS_READ: _own_tokens(
        "list tokens", "lists tokens, never their secrets: those it made, or all as a manager"
    ),
    Action.TOKENS_CREATE: _own_tokens("make tokens", "makes tokens that may no more than itself"),
    Action.TOKENS_REVOKE: _own_tokens(
        "revoke tokens", "revokes tokens: those it made, or all as a manager"
    ),
    Action.OPENID_READ: _public(
        "ask the OpenID provider", "reads what the OpenID provider publishes, and who signed in"
    ),
    Action.OPENID_SIGN_IN: _public(
        "sign in by OpenID", "signs in to another program with the account here"
    ),
    Action.OPENID_CLIENTS_READ: _admin("list clients", "lists clients of the OpenID provider"),
    Action.OPENID_CLIENTS_WRITE: _admin(
        "change clients", "registers, changes and removes clients of the OpenID provider"
    ),
    Action.LIMITS_READ: _topics(
        "read", "reads limits, and how much of them is used", _READ, Role.VIEWER
    ),
    Action.LOAD_READ: _topics("read", "reads the load now and of late", _READ, Role.VIEWER),
    Action.PARKED_READ: _topics("read", "looks at parked messages", _READ, Role.VIEWER),
    Action.PARKED_SETTLE: _topics(
        "settle what is parked of", "releases and drops parked messages", _BOTH, Role.EDITOR
    ),
    Action.JOURNAL_READ: _admin(
        "look at the journal", "reads what the journal holds, and what it lost"
    ),
    Action.JOURNAL_ACKNOWLEDGE: _admin("acknowledge damage", "acknowledges damage of the journal"),
    Action.JOURNAL_DROP_CONSUMER: _admin(
        "drop consumers", "drops a consumer that is gone, so that the journal keeps nothing for it"
    ),
    Action.JOURNAL_ADOPT: _admin(
        "adopt a journal", "adopts a topic that was created again or has grown as the journal"
    ),
    Action.SERIES_READ: _admin("look at the series", "reads what is lost of the series"),
    Action.SERIES_ACKNOWLEDGE: _admin(
        "acknowledge a loss", "acknowledges a permanent loss of the series"
    ),
    Action.SOURCES_READ: _admin(
        "look at sources", "reads which messages of sources are not stored"
    ),
    Action.BACKUPS_READ: _admin("look at backups", "reads the state of backups"),
    Action.BACKUPS_TAKE: _admin("take backups", "takes backups"),
    Action.BACKUPS_RESTORE: _local("restore", "restores a home from a backup"),
    Action.INSTANCE_RUN: _local("run", "starts a process on these stores"),
    Action.INSTANCE_EXAMINE: _local("examine", "examines settings, home and stores"),
    Action.INSTANCE_MIGRATE: _local("migrate", "moves a home to other stores"),
}
