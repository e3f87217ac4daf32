"""Routes of dead letters: look at them, send them again, or drop them.

When a letter is sent again, its message becomes a new one. It is counted again, and goes only to
the policy that it broke, because the others have it. It keeps its event time and the attributes
that were recorded with it. Its key is made of its policy and its old offset, so it is stored once
however often it is sent, even if the letter could not be removed from the list afterwards.
"""

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query

from lakebed.access.actions import Action
from lakebed.api.callers import Caller, InOwner
from lakebed.api.requests import ServicesDep, check_filter_in, policies_by_topic
from lakebed.api.services import Services
from lakebed.ingest.keys import letter_key
from lakebed.ingest.offers import Columns
from lakebed.ports.catalog.dead_letters import INCOMPLETE, REFUSED, DeadLetter, Fate
from lakebed.relays.documents import spec_of
from lakebed.relays.letters import RELAY
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes, Coded
from lakebed.vocabulary.errors import BadRequest, Conflict, NotFound
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.owner_topics import OF_OTHERS
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import UNSET, now, to_rfc3339
from lakebed.vocabulary.topics import check_topic, matches

router = APIRouter(prefix="/api/v1/dead-letters", tags=["administration"])

_FATES: tuple[Fate, ...] = ("resent", "dropped", "expired")
_BATCH = 100  # letters sent again by one append

Reader = Annotated[Caller, InOwner(Action.DEAD_LETTERS_READ)]
Sender = Annotated[Caller, InOwner(Action.DEAD_LETTERS_RESEND)]
Dropper = Annotated[Caller, InOwner(Action.DEAD_LETTERS_DROP)]
Topic = Annotated[str | None, Query(description="only under this MQTT filter")]
PolicyName = Annotated[str | None, Query(description="only of this policy")]
Reason = Annotated[str | None, Query(description="only if the reason begins with this")]


@router.get("")
def list_letters(
    services: ServicesDep,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    topic: Topic = None,
    policy: PolicyName = None,
    reason: Reason = None,
) -> dict[str, Any]:
    """List messages on which a policy's code failed, stored whole; the newest first."""
    heads = _selected(services, caller, topic, policy, reason)
    sizes = services.catalog.dead_letter_sizes(caller.owner) if heads else {}
    return {
        "dead_letters": [_show(letter) for letter in _load(services, heads[:limit])],
        "waiting": len(heads),
        "bytes": sum(sizes.get((one.policy, one.partition, one.offset), 0) for one in heads),
        **_count_settled(services, caller),
    }


def _count_settled(services: Services, caller: Caller) -> dict[str, int | None]:
    """The number of settled letters by outcome, if the caller may read all topics of the owner."""
    if not caller.may_all():
        return dict.fromkeys(_FATES)
    fates = services.catalog.dead_letter_fates(caller.owner)
    return {fate: fates.get(fate, 0) for fate in _FATES}


@router.post("/resend")
async def resend_letters(
    services: ServicesDep,
    caller: Sender,
    topic: Topic = None,
    policy: PolicyName = None,
    reason: Reason = None,
) -> dict[str, int]:
    """Send the selected letters again, the oldest first; `topic=#` selects all.

    Letters whose policy was deleted, or does not have their topic any more, stay in the list, and
    so do messages that were refused at the door: those are sent one by one.
    """
    _require_selection(topic, policy, reason)
    heads = await asyncio.to_thread(_selected, services, caller, topic, policy, reason)
    policies = await asyncio.to_thread(policies_by_topic, services, caller.owner)
    wanted = [
        head
        for head in heads[::-1]
        if head.policy != REFUSED and head.policy in policies.match(head.topic)
    ]
    resent = await _resend(services, caller, wanted)
    of_relays = [head for head in heads[::-1] if head.policy.startswith(RELAY)]
    sent, _ = await _send_to_targets(services, caller, of_relays)
    return {"resent": resent + sent}


@router.delete("")
def drop_letters(
    services: ServicesDep,
    caller: Dropper,
    topic: Topic = None,
    policy: PolicyName = None,
    reason: Reason = None,
) -> dict[str, int]:
    """Drop the selected letters; `topic=#` selects all."""
    _require_selection(topic, policy, reason)
    return {"dropped": _drop(services, caller, _selected(services, caller, topic, policy, reason))}


@router.get("/{id}")
def show_letter(services: ServicesDep, caller: Reader, id: str) -> dict[str, Any]:
    """Show one letter, with the error in full."""
    letter = _find(services, caller, id)
    # of a relay's letter it is what its record is made of again
    return _show(letter) | {"error": "" if letter.policy.startswith(RELAY) else letter.error}


@router.post("/{id}/resend")
async def resend_letter(services: ServicesDep, caller: Sender, id: str) -> dict[str, int]:
    """Send the message of one letter again; the letter is removed from the list."""
    letter = await asyncio.to_thread(_find, services, caller, id)
    if letter.policy == REFUSED:
        _check_refused(services, caller, letter)
        return {"resent": await _resend(services, caller, [letter])}
    if letter.policy.startswith(RELAY):
        sent, refused = await _send_to_targets(services, caller, [letter])
        if refused:
            raise Conflict(f"the target refuses it again: {refused[0]}")
        return {"resent": sent}
    policies = await asyncio.to_thread(policies_by_topic, services, caller.owner)
    if letter.policy not in policies.match(letter.topic):
        raise Conflict(
            f"there is no policy {letter.policy!r} any more that takes {letter.topic!r}: "
            "bring it back, or drop the letter"
        )
    return {"resent": await _resend(services, caller, [letter])}


@router.delete("/{id}", status_code=204)
def drop_letter(services: ServicesDep, caller: Dropper, id: str) -> None:
    """Drop one letter."""
    _drop(services, caller, [_find(services, caller, id)])


# --- finding --------------------------------------------------------------------------------------


def _selected(
    services: Services, caller: Caller, topic: str | None, policy: str | None, reason: str | None
) -> list[DeadLetter]:
    """The heads of selected letters that the caller may read, the newest first."""
    reader = caller.to(Action.DEAD_LETTERS_READ)
    if topic is not None:
        check_filter_in("topic", topic)
    return [
        head
        for head in services.catalog.dead_letter_heads(caller.owner)
        if (policy is None or head.policy == policy)
        and (topic is None or topic == "#" or matches(topic, head.topic))
        and (reason is None or head.reason.startswith(reason))
        and reader.may(head.topic)
    ]


def _require_selection(*chosen: str | None) -> None:
    if all(part is None for part in chosen):
        raise BadRequest("topic", "say which: by `topic`, `policy` or `reason`; # means all topics")


def _load(services: Services, heads: Sequence[DeadLetter]) -> list[DeadLetter]:
    """Load the letters in full, without those that were settled meanwhile."""
    ask = services.catalog.dead_letter
    found = (ask(head.owner, head.policy, head.partition, head.offset) for head in heads)
    return [letter for letter in found if letter is not None]


def _find(services: Services, caller: Caller, id: str) -> DeadLetter:
    policy, *place = id.rsplit(":", 2)  # the name of a relay's begins with `$relay:`
    found = None
    if len(place) == 2 and all(part.isascii() and part.isdigit() for part in place):
        partition, offset = map(int, place)
        if max(partition, offset) < 2**63:
            found = services.catalog.dead_letter(caller.owner, policy, partition, offset)
    if found is None or not caller.to(Action.DEAD_LETTERS_READ).may(found.topic):
        raise NotFound(f"there is no dead letter {id!r}: it never was, or somebody has settled it")
    return found


# --- settling -------------------------------------------------------------------------------------


async def _resend(services: Services, caller: Caller, letters: Sequence[DeadLetter]) -> int:
    _require_publish(caller, letters)
    sent = 0
    for start in range(0, len(letters), _BATCH):
        some = letters[start : start + _BATCH]
        whole = await asyncio.to_thread(_load, services, some)
        await services.resending.append(_columns(whole))
        # durable by now; a crash before the next line leaves the letter listed, and its key known
        sent += await asyncio.to_thread(services.catalog.settle_dead_letters, whole, "resent")
    return sent


async def _send_to_targets(
    services: Services, caller: Caller, letters: Sequence[DeadLetter]
) -> tuple[int, list[str]]:
    """Send letters of relays to their targets again, now; those that are refused stay.

    Returns:
        how many were taken, and why others were not.

    Raises:
        Conflict: a relay of them is gone.
        TargetUnavailable: a target does not answer.
    """
    _require_publish(caller, letters)
    sent = 0
    refused: list[str] = []
    groups: dict[tuple[str, int], list[DeadLetter]] = {}
    for letter in letters:
        groups.setdefault((letter.policy, letter.partition), []).append(letter)
    for (policy, _), group in groups.items():
        name = policy.removeprefix(RELAY)
        relay = await asyncio.to_thread(services.catalog.relay, caller.owner, name)
        if relay is None:
            raise Conflict(
                f"there is no relay {name!r} any more: bring it back, or drop the letter"
            )
        spec = spec_of(relay)
        for start in range(0, len(group), spec.batch):
            some = group[start : start + spec.batch]
            whole = await asyncio.to_thread(_load, services, some)
            if not whole:
                continue
            reasons = await asyncio.to_thread(services.targets.send_again, spec, whole)
            taken = [one for one, why in zip(whole, reasons, strict=True) if not why]
            refused += [why for why in reasons if why]
            settle = services.catalog.settle_dead_letters
            sent += await asyncio.to_thread(settle, taken, "resent")
    return sent, refused


def _check_refused(services: Services, caller: Caller, letter: DeadLetter) -> None:
    """Check a message that was refused at the door as if it came in now.

    Raises:
        Conflict: it cannot be taken now either.
    """
    largest = services.settings.limits.payload
    try:
        check_topic(letter.topic, services.settings.limits.topic)
    except ValueError as error:
        raise Conflict(f"{error}: drop the letter") from None
    if letter.error.startswith(INCOMPLETE):
        raise Conflict("only its beginning was kept: have its sender send it again, in parts")
    if len(letter.payload) > largest:
        raise Conflict(
            f"its payload has {len(letter.payload)} bytes: raise limits.payload ({largest}) first"
        )
    if letter.topic.startswith(OF_OTHERS):
        raise Conflict("its topic is of another owner: have its sender send it again")
    caller.require(letter.topic)


def _columns(letters: Sequence[DeadLetter]) -> Columns:
    """The messages of letters, each for the policy that it broke, with a key of its own."""
    return Columns(
        [Channel(letter.owner, letter.topic) for letter in letters],
        [letter.payload for letter in letters],
        now(),
        Sparse(
            event=[_event_time(letter) for letter in letters],
            ids=[letter.id for letter in letters],
            keys=[letter_key(x.owner, x.policy, x.partition, x.offset) for x in letters],
            only=["" if letter.policy == REFUSED else letter.policy for letter in letters],
            attributes=_attributes(letters),
        ),
    )


def _attributes(letters: Sequence[DeadLetter]) -> Coded[Attributes] | None:
    found = Coded.of(letter.attributes for letter in letters)
    return None if found.table == (NO_ATTRIBUTES,) else found


def _drop(services: Services, caller: Caller, letters: Sequence[DeadLetter]) -> int:
    _require_publish(caller, letters)
    return services.catalog.settle_dead_letters(letters, "dropped")


def _require_publish(caller: Caller, letters: Sequence[DeadLetter]) -> None:
    """Raises Denied where the caller may not publish to the topic of a letter."""
    for letter in letters:
        caller.require(letter.topic)


def _event_time(letter: DeadLetter) -> int:
    """The event time of a letter's message, or its first receive time if the sender gave none."""
    return letter.received if letter.event == UNSET else letter.event


def _show(letter: DeadLetter) -> dict[str, Any]:
    position = f"{letter.partition}:{letter.offset}"
    shown: dict[str, Any] = {
        "id": f"{letter.policy}:{position}",
        "topic": letter.topic,
        "policy": letter.policy,
        "position": position,
        "time": to_rfc3339(_event_time(letter)),
        "received": to_rfc3339(letter.received),
        "reason": letter.reason,
        "size": len(letter.payload),
        "payload_base64": b64encode(letter.payload).decode(),
    }
    if letter.id:
        shown["message_id"] = letter.id
    if attributes := letter.attributes.given():
        shown["attributes"] = dict(attributes)
    return shown
