"""Routes of dead letters: look at them, send them again, or drop them.

Sent again, a letter's message is a new one: it is counted anew, and goes to the policy that it
broke and to no other, since those have it. It keeps the time at which it happened, and the
attributes that were recorded with it. A key made of its policy and its old offset has it stored
once, however often it is sent, and even if the letter could not be taken off the list afterwards.
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
from lakebed.ports.catalog.dead_letters import DeadLetter, Fate
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes, Coded
from lakebed.vocabulary.errors import BadRequest, Conflict, NotFound
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import UNSET, now, to_rfc3339
from lakebed.vocabulary.topics import matches

router = APIRouter(prefix="/api/v1/dead-letters", tags=["administration"])

_FATES: tuple[Fate, ...] = ("resent", "dropped", "expired")
_AT_ONCE = 100  # letters sent again by one append

Reader = Annotated[Caller, InOwner(Action.DEAD_LETTERS_READ)]
Sender = Annotated[Caller, InOwner(Action.DEAD_LETTERS_RESEND)]
Dropper = Annotated[Caller, InOwner(Action.DEAD_LETTERS_DROP)]
Topic = Annotated[str | None, Query(description="only under this MQTT filter")]
PolicyName = Annotated[str | None, Query(description="only of this policy")]
Reason = Annotated[str | None, Query(description="only where the reason begins so")]


@router.get("")
def list_letters(
    services: ServicesDep,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    topic: Topic = None,
    policy: PolicyName = None,
    reason: Reason = None,
) -> dict[str, Any]:
    """Messages that broke a policy's code, kept aside whole; the newest first."""
    heads = _chosen(services, caller, topic, policy, reason)
    return {
        "dead_letters": [_show(letter) for letter in _whole(services, heads[:limit])],
        "waiting": len(heads),
        **_settled(services, caller),
    }


def _settled(services: Services, caller: Caller) -> dict[str, int | None]:
    """How many letters ended in each way, for callers that may read all topics of the owner."""
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
    """Send those chosen again, the oldest first; `topic=#` chooses all.

    Those whose policy is no more, or has let go of their topic, stay where they are.
    """
    _check_choice(topic, policy, reason)
    heads = await asyncio.to_thread(_chosen, services, caller, topic, policy, reason)
    policies = await asyncio.to_thread(policies_by_topic, services, caller.owner)
    wanted = [head for head in heads[::-1] if head.policy in policies.match(head.topic)]
    return {"resent": await _resend(services, caller, wanted)}


@router.delete("")
def drop_letters(
    services: ServicesDep,
    caller: Dropper,
    topic: Topic = None,
    policy: PolicyName = None,
    reason: Reason = None,
) -> dict[str, int]:
    """Drop those chosen; `topic=#` chooses all."""
    _check_choice(topic, policy, reason)
    return {"dropped": _drop(services, caller, _chosen(services, caller, topic, policy, reason))}


@router.get("/{id}")
def show_letter(services: ServicesDep, caller: Reader, id: str) -> dict[str, Any]:
    """One letter with the error in full."""
    letter = _find(services, caller, id)
    return _show(letter) | {"error": letter.error}


@router.post("/{id}/resend")
async def resend_letter(services: ServicesDep, caller: Sender, id: str) -> dict[str, int]:
    """Send its message again as a new one; the letter leaves the list."""
    letter = await asyncio.to_thread(_find, services, caller, id)
    policies = await asyncio.to_thread(policies_by_topic, services, caller.owner)
    if letter.policy not in policies.match(letter.topic):
        raise Conflict(
            f"there is no policy {letter.policy!r} any more that takes {letter.topic!r}: "
            "bring it back, or drop the letter"
        )
    return {"resent": await _resend(services, caller, [letter])}


@router.delete("/{id}", status_code=204)
def drop_letter(services: ServicesDep, caller: Dropper, id: str) -> None:
    """Drop it."""
    _drop(services, caller, [_find(services, caller, id)])


# --- finding --------------------------------------------------------------------------------------


def _chosen(
    services: Services, caller: Caller, topic: str | None, policy: str | None, reason: str | None
) -> list[DeadLetter]:
    """Heads of those that the caller may read, the newest first."""
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


def _check_choice(*chosen: str | None) -> None:
    if all(part is None for part in chosen):
        raise BadRequest("topic", "say which: by `topic`, `policy` or `reason`; # means all topics")


def _whole(services: Services, heads: Sequence[DeadLetter]) -> list[DeadLetter]:
    """The letters in full, without those that were settled meanwhile."""
    ask = services.catalog.dead_letter
    found = (ask(head.owner, head.policy, head.partition, head.offset) for head in heads)
    return [letter for letter in found if letter is not None]


def _find(services: Services, caller: Caller, id: str) -> DeadLetter:
    policy, *place = id.split(":")
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
    _check(caller, letters)
    sent = 0
    for start in range(0, len(letters), _AT_ONCE):
        some = letters[start : start + _AT_ONCE]
        whole = await asyncio.to_thread(_whole, services, some)
        await services.resending.append(_columns(whole))
        # durable by now; a crash before the next line leaves the letter listed, and its key known
        sent += await asyncio.to_thread(services.catalog.settle_dead_letters, whole, "resent")
    return sent


def _columns(letters: Sequence[DeadLetter]) -> Columns:
    """The messages as they were, each for the policy that it broke, under a key of its own."""
    return Columns(
        [Channel(letter.owner, letter.topic) for letter in letters],
        [letter.payload for letter in letters],
        now(),
        Sparse(
            event=[_happened(letter) for letter in letters],
            ids=[letter.id for letter in letters],
            keys=[letter_key(x.owner, x.policy, x.partition, x.offset) for x in letters],
            only=[letter.policy for letter in letters],
            attributes=_attributes(letters),
        ),
    )


def _attributes(letters: Sequence[DeadLetter]) -> Coded[Attributes] | None:
    found = Coded.of(letter.attributes for letter in letters)
    return None if found.table == (NO_ATTRIBUTES,) else found


def _drop(services: Services, caller: Caller, letters: Sequence[DeadLetter]) -> int:
    _check(caller, letters)
    return services.catalog.settle_dead_letters(letters, "dropped")


def _check(caller: Caller, letters: Sequence[DeadLetter]) -> None:
    """Raises Denied where the caller may not publish to the topic of a letter."""
    for letter in letters:
        caller.require(letter.topic)


def _happened(letter: DeadLetter) -> int:
    """The receive time of a message that named none: it belongs to that hour, not to this one."""
    return letter.received if letter.event == UNSET else letter.event


def _show(letter: DeadLetter) -> dict[str, Any]:
    position = f"{letter.partition}:{letter.offset}"
    shown: dict[str, Any] = {
        "id": f"{letter.policy}:{position}",
        "topic": letter.topic,
        "policy": letter.policy,
        "position": position,
        "time": to_rfc3339(_happened(letter)),
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
