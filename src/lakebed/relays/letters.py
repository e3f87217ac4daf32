"""Dead letters of relays: records that a target refused for ever, and the way back.

Record ──letter_of──> DeadLetter, its policy `$relay:NAME` ──record_of──> the same record
"""

from dataclasses import replace

import msgspec

from lakebed.ports.catalog.dead_letters import DeadLetter
from lakebed.ports.relays import Record, What
from lakebed.relays.documents import Spec
from lakebed.relays.templates import Template
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes
from lakebed.vocabulary.times import UNSET, Micros

RELAY = "$relay:"
"""How the policy of a letter begins that is a relay's; no policy has such a name."""


class _Rest(msgspec.Struct):
    """What of a record has no place of its own in a letter."""

    what: What
    policy: str
    values: dict[str, object]
    payload: bool
    attributes: dict[str, str]
    raw: bool = False  # the relay's template was not applied


def policy_of(relay: str) -> str:
    """What stands in place of the policy in letters of a relay of this name."""
    return f"{RELAY}{relay}"


def letter_of(
    spec: Spec,
    partition: int,
    record: Record,
    offset: int,
    reason: str,
    at: Micros,
    raw: bool = False,
) -> DeadLetter:
    """
    Args:
        raw: whether the relay's template was not applied.
    """
    rest = _Rest(
        record.what,
        record.policy,
        dict(record.values),
        record.payload is not None,
        dict(record.attributes),
        raw,
    )
    payload = record.payload
    return DeadLetter(
        owner=spec.owner,
        topic=record.topic,
        policy=policy_of(spec.name),
        partition=partition,
        offset=offset,
        received=record.received,
        payload=msgspec.json.encode(record.values) if payload is None else payload,
        reason=reason,
        event=UNSET if record.time == record.received else record.time,
        id=record.id,
        error=msgspec.json.encode(rest).decode(),
        aside=at,
        attributes=_attributes(record),
    )


def record_of(letter: DeadLetter, template: Template | None = None) -> Record:
    """The record of a letter that `letter_of` made.

    Args:
        template: of the relay as it is now, for a record that it was not applied to.

    Raises:
        TooLarge: the template makes too much of it.
    """
    rest = msgspec.json.decode(letter.error, type=_Rest)
    record = Record(
        id=letter.id,
        topic=letter.topic,
        time=letter.received if letter.event == UNSET else letter.event,
        received=letter.received,
        what=rest.what,
        values=rest.values,
        payload=letter.payload if rest.payload else None,
        attributes=rest.attributes,
        policy=rest.policy,
    )
    if rest.raw and template is not None:
        return replace(record, payload=template.payload(record))
    return record


def _attributes(record: Record) -> Attributes:
    content_type = record.attributes.get("content_type", "")
    principal = record.attributes.get("principal", "")
    if not content_type and not principal:
        return NO_ATTRIBUTES
    return Attributes(content_type, principal)
