"""What the suite of targets needs of each: a real server, and what has arrived there."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from tests.crash.network import Proxy

from lakebed.egress.guard import Egress
from lakebed.ports.relays import Delivery, Position, Record, Refusal, Refused, Target
from lakebed.relays.targets.target import Options, Surroundings, TargetKind
from lakebed.vocabulary.times import SECOND

NOON = 1_769_860_800 * SECOND  # 2026-01-31T12:00:00Z
EGRESS = Egress(["127.0.0.0/8"])


class Place(Protocol):
    """One kind of target with a real server behind a proxy.

    Attributes:
        kind: of the target.
        options: of a document that leads there, through the proxy.
        secrets: values of the secrets in them.
        proxy: between the target and the server.
        wrong: options each of which is a mistake, by name.
        relay: its lasting identity, of this place alone.
    """

    kind: TargetKind
    options: dict[str, Any]
    secrets: Mapping[str, str]
    proxy: Proxy
    wrong: Mapping[str, Any]
    relay: str

    def arrived(self) -> list[tuple[str, str]]:
        """Topic and text of each record that took effect, in order within a topic."""
        ...

    def refused(self) -> Record | None:
        """A record that the server will never take; None if it takes everything."""
        ...


Make = Callable[[], AbstractContextManager[Place]]


def open_target(
    place: Place, lane: int = 0, timeout: float = 20, egress: Egress = EGRESS
) -> Target:
    options: Options = place.options

    def secret(value: str) -> str:
        return place.secrets.get(value, value)

    assert place.kind.check(options) == []
    around = Surroundings(place.relay, 3, lane, secret, int(timeout * SECOND), egress)
    return place.kind.open(options, around)


def record(number: int, topic: str = "plant/1", payload: bytes | None = None) -> Record:
    """A message; its payload tells its number."""
    return Record(
        id=f"3-{number}", topic=topic, time=NOON + number * SECOND,
        received=NOON + number * SECOND + 5, payload=payload or b'{"n": %d}' % number,
    )  # fmt: skip


def delivery(records: Sequence[Record], end: int, lane: int = 0) -> Delivery:
    return Delivery(f"3/{lane}/{end}", records, Position("ann/out/1", 3, lane, end))


def deliver(target: Target, sent: Delivery) -> list[Refusal]:
    """As the relay does it: what is refused before anything was taken is left out."""
    try:
        return list(target.send(sent))
    except Refused as error:
        gone = {refusal.index for refusal in error.refusals}
        rest = [one for index, one in enumerate(sent.records) if index not in gone]
        if rest:
            assert target.send(Delivery(sent.id + "'", rest, sent.position)) == ()
        return list(error.refusals)
