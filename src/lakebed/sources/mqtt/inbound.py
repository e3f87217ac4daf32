"""Makes one offer to the intake per read, and one write of acks when it is durable.

    events of one read ──> columns, keys, release ──offer──> Intake
    acks of that read  <── one write <──────────durable────────┘

Endpoint and client share it. Both answer only when the journal has the message, and both detect
repeated QoS 2 messages by their packet id: the message is stored at once, and its identifier is
kept until PUBREL (MQTT 3.1.1 section 4.3.3, method B). Of QoS 1 see `recent.py`.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from lakebed.ingest.keys import id_key, sent_key
from lakebed.ingest.offers import Columns
from lakebed.ingest.recording import Recording, beside
from lakebed.sources.mqtt.codec.answers import PUBACK, PUBCOMP, PUBREC, PUBREL, Answer, answers
from lakebed.sources.mqtt.codec.decoder import Control
from lakebed.sources.mqtt.codec.publish import Refused, Run
from lakebed.sources.mqtt.codec.reasons import ProtocolError, Reason, reason_name
from lakebed.sources.mqtt.codec.wire import V5
from lakebed.sources.mqtt.limiting import Event, Limiter
from lakebed.sources.mqtt.recent import RecentPublishes, Resent
from lakebed.sources.mqtt.stats import Stats
from lakebed.sources.mqtt.unreleased import Unreleased
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes, Coded
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import NOTHING, Sparse, SparseBuilder
from lakebed.vocabulary.times import UNSET, Micros

if TYPE_CHECKING:
    from lakebed.ingest.intake import Intake

_PUBACK = answers(PUBACK, [b""])


class Senders(Protocol):
    """Finds the sender of each message, where a connection brings those of many."""

    def sort(self, run: Run[Any]) -> Run[Channel]:
        """The messages to be stored, with their channels and attributes; others are left out."""
        ...


class _Offer:
    """The columns of one read, gathered over its runs."""

    __slots__ = ("acks", "channels", "payloads", "release", "settled", "sparse")

    def __init__(self) -> None:
        self.channels: list[Channel] = []
        self.payloads: list[bytes] = []
        self.sparse = SparseBuilder()
        self.release: list[bytes] = []
        self.acks: list[bytes] = []
        self.settled = 0


class InboundPublishes:
    """Offers one connection's messages to the intake, and acknowledges them.

    Args:
        owner: of the messages.
        write: sends bytes to the peer; not called after `close`.
        in_flight_maximum: QoS 1 and 2 messages that may be unanswered (MQTT 5, section 3.3.4).
        explain: whether refusals carry a reason string (MQTT 5).
        acknowledge_refused: acknowledge refused messages too where an ack has no reason code;
            otherwise a broker would send them again for ever.
        acknowledge_limited: as well where a limit refuses, which is over after a while.
        urgent: the peer waits for acks before it sends more (see `Intake.offer`).
        attributes: recorded with each message that has none of its own.
        recording: what is recorded; None if QoS and retain flag are not.
        senders: find the channel of each message; None where the decoder did.
        of_many: whether `senders` find out whose a message is, so that ids are its owner's.
        limiter: decides what is over a limit.
        hold: called with the seconds in which nothing more should be read.
        recent: what the session received last; None where it ends with the connection.
        told: called with each refused message, before it is answered.
    """

    timeout = inf

    def __init__(
        self,
        intake: "Intake",
        owner: str,
        version: int,
        unreleased: Unreleased,
        write: Callable[[bytes], None],
        stats: Stats,
        *,
        in_flight_maximum: int = 65535,
        explain: bool = True,
        acknowledge_refused: bool = False,
        acknowledge_limited: bool = False,
        urgent: bool = True,
        attributes: Attributes | None = None,
        recording: Recording | None = None,
        senders: Senders | None = None,
        of_many: bool = True,
        limiter: Limiter | None = None,
        hold: Callable[[float], None] = lambda seconds: None,
        recent: RecentPublishes | None = None,
        told: Callable[[Refused], None] = lambda refused: None,
    ) -> None:
        self._intake = intake
        self._owner = owner
        self._five = version == V5
        self._unreleased = unreleased
        self._write = write
        self._stats = stats
        self._maximum = in_flight_maximum if self._five else sys.maxsize
        self._explain = explain
        self._acknowledge_refused = acknowledge_refused
        self._acknowledge_limited = acknowledge_limited
        self._urgent = urgent
        self._own_ids = senders is None or not of_many
        self._limiter = limiter
        self.record(attributes, recording)
        self._senders = senders
        self._unit = None if limiter is None else limiter.allowance.unit
        self._hold = hold
        self._recent = recent
        self._told = told
        self._open = True
        self._finished: Callable[[], None] | None = None
        self._singles = intake.singles
        self.in_flight = 0
        self.pending = 0

    def record(self, attributes: Attributes | None, recording: Recording | None) -> None:
        """Change what is recorded with each message from the next read on; see the class."""
        self._attributes = attributes
        self._flags = None if recording is None or not recording.reads_flags else recording
        self._flagged: dict[tuple[int, bool], Attributes | None] = {}
        if self._limiter is not None:
            self._limiter.attributes = attributes or NO_ATTRIBUTES

    def finish(self, finished: Callable[[], None]) -> None:
        """Offer nothing more; call `finished` when all acks that are due are written."""
        self._open = False
        self._finished = finished
        if not self.pending:
            finished()

    def close(self) -> None:
        """Drop the acks that are still due: they belong to this connection alone."""
        self._open = False
        self._finished = None

    def take(self, events: Sequence[Event], received: Micros) -> list[Control]:
        """Offer the messages of one read; return its other packets, in order.

        Raises:
            ProtocolError: a message is refused and no ack can say so, or more are in flight than
                was agreed. Messages before it are offered.
        """
        if self._limiter is not None and self._limiter.allowance.limited:
            return self._take_limited(self._limiter, events, received)
        if len(events) == 1:
            run = events[0]
            if type(run) is Run and run.qos < 2 and not run.duplicate:
                self._take_only_run(run, received)
                return []
        return self._take_mixed(events, received)

    def take_single(self, count: int, received: Micros) -> None:
        """Register a plain QoS 1 message that the decoder has just put into `intake.singles`.

        Args:
            count: messages in `singles` now.

        Raises:
            ProtocolError: more are in flight than was agreed. The message is offered nevertheless.
        """
        singles = self._singles
        singles.received.append(received)
        singles.senders.append(self)
        if self._recent is not None:
            packet_id, channel = singles.marks[-1], singles.channels[-1]
            self._recent.note_single(packet_id, channel, singles.payloads[-1], received)
        self._stats.publishes[1] += 1
        if self._unit is not None:
            self._unit.note_sent(1, len(singles.payloads[-1]))
        self.pending += 1
        self._intake.single_added(count)
        self.in_flight += 1
        if self.in_flight > self._maximum:
            raise self._too_many()

    def _take_only_run(self, run: Run[Channel], received: Micros) -> None:
        fits = self._count_in_flight(run)
        count = len(run.payloads)
        self._stats.publishes[run.qos] += count
        if self._unit is not None:
            self._unit.note_sent(count, sum(map(len, run.payloads)))
        if run.qos:
            durable = partial(self._durable, answers(PUBACK, run.packet_ids), count)
            if self._recent is not None:
                self._recent.note(run, received)
        else:
            durable = partial(self._durable, b"", 0)
        if self._senders is not None:
            run = self._senders.sort(run)
        self.pending += 1
        columns = Columns(run.targets, run.payloads, received, self._sparse(run))
        self._intake.offer(columns, durable, self._refused, urgent=self._urgent)
        if not fits:
            raise self._too_many()

    def _take_limited(
        self, limiter: Limiter, events: Sequence[Event], received: Micros
    ) -> list[Control]:
        """As `take`, where limits are in force."""
        unreleased = self._unreleased
        events = self._settle_resent(events)
        limited = limiter.limit(events, unreleased.ids - unreleased.unconfirmed)
        if limited.wait:
            self._hold(limited.wait)
        controls = self._take_mixed(limited.events, received)
        if limited.cut:
            raise ProtocolError(Reason.QUOTA_EXCEEDED, limited.cut)
        return controls

    def _take_mixed(self, events: Sequence[Event], received: Micros) -> list[Control]:
        offer = _Offer()
        controls: list[Control] = []
        try:
            for event in self._settle_resent(events):
                if isinstance(event, Run):
                    self._take_run(offer, event, received)
                elif isinstance(event, Resent):
                    offer.acks.append(answers(PUBACK, event.packet_ids))
                elif isinstance(event, Refused):
                    self._refuse(offer, event)
                elif isinstance(event, Answer) and event.kind == PUBREL:
                    self._release(offer, event)
                else:
                    controls.append(event)
        finally:
            self._send(offer, received)
        return controls

    def _settle_resent(self, events: Sequence[Event]) -> Sequence[Event]:
        """Replace QoS 1 messages that are stored already by what only acknowledges them."""
        recent = self._recent
        if recent is None or not any(type(event) is Run and event.duplicate for event in events):
            return events
        found: list[Event] = []
        for event in events:
            if not (isinstance(event, Run) and event.duplicate):
                found.append(event)
                continue
            new, known = recent.split(event)
            # acks keep the order within each of the two: a client sends again the oldest first
            if known:
                self._stats.publishes[1] += len(known)
                self._stats.resent += len(known)
                found.append(Resent([event.packet_ids[place] for place in known]))
            if new:
                found.append(event.only(new))
        return found

    def _send(self, offer: _Offer, received: Micros) -> None:
        if not (offer.payloads or offer.acks):
            return
        sparse = offer.sparse.build(len(offer.payloads))
        columns = Columns(offer.channels, offer.payloads, received, sparse, offer.release)
        durable = partial(self._durable, b"".join(offer.acks), offer.settled)
        self.pending += 1
        self._intake.offer(columns, durable, self._refused, urgent=self._urgent)

    def _refused(self, reason: Unavailable) -> None:
        """Acknowledge nothing, as the process ends: the peer sends the messages again."""
        self.pending -= 1
        if not self._open:
            self._write_last(b"")

    def _durable(self, acks: bytes, settled: int) -> None:
        self.pending -= 1
        self.in_flight = max(0, self.in_flight - settled)
        if not self._open:
            self._write_last(acks)
        elif acks:
            self._write(acks)

    def refused_one(self, mark: bytes, reason: Unavailable) -> None:
        self._refused(reason)

    def durable_one(self, packet_id: bytes) -> None:
        self.pending -= 1
        if self.in_flight:
            self.in_flight -= 1
        if self._open:
            self._write(_PUBACK + packet_id)
        else:
            self._write_last(_PUBACK + packet_id)

    def _write_last(self, acks: bytes) -> None:
        """The connection is ending: see `finish`."""
        if self._finished is None:
            return
        if acks:
            self._write(acks)
        if not self.pending:
            self._finished()

    def _count_in_flight(self, run: Run[Channel]) -> bool:
        """Cut a run to the messages that may be in flight; return whether all of them may."""
        if not run.qos:
            return True
        count, room = len(run.payloads), self._maximum - self.in_flight
        if count > room:
            run.cut(room)
        self.in_flight += min(count, room)
        return count <= room

    def _too_many(self) -> ProtocolError:
        return ProtocolError(
            Reason.RECEIVE_MAXIMUM_EXCEEDED,
            f"more than {self._maximum} messages are unacknowledged",
        )

    def _take_run(self, offer: _Offer, run: Run[Channel], received: Micros) -> None:
        fits = self._count_in_flight(run)
        if run.qos == 1 and self._recent is not None:
            self._recent.note(run, received)
        self._stats.publishes[run.qos] += len(run)
        if self._unit is not None:
            self._unit.note_sent(len(run), sum(map(len, run.payloads)))
        self._add_run(offer, run)
        if not fits:
            raise self._too_many()

    def _add_run(self, offer: _Offer, run: Run[Channel]) -> None:
        if run.qos == 2:
            offer.acks.append(answers(PUBREC, run.packet_ids))
            self._take_qos2(offer, run)
            return
        if run.qos:
            offer.acks.append(answers(PUBACK, run.packet_ids))
            offer.settled += len(run)
        if self._senders is not None:
            run = self._senders.sort(run)
        start = len(offer.payloads)
        offer.channels += run.targets
        offer.payloads += run.payloads
        offer.sparse.add(start, self._sparse(run))

    def _sparse(self, run: Run[Channel]) -> Sparse:
        """The sparse columns of a run, as far as it has any."""
        event, ids = run.event, run.ids
        attributes: Any = None
        of_sender = self._attributes if self._flags is None else self._of_flags(self._flags, run)
        if run.attributes is not None:
            mine = of_sender or NO_ATTRIBUTES
            attributes = [one or mine for one in run.attributes]  # numbered with their batch
            if mine.decisions:
                attributes = [one if one is mine else beside(one, mine) for one in attributes]
        elif of_sender is not None:
            attributes = Coded.constant(of_sender, len(run))
        if event is None or ids is None:
            return NOTHING if attributes is None else Sparse(attributes=attributes)
        timed = event if event.count(UNSET) < len(event) else None
        return Sparse(timed, ids, self._id_keys(run), attributes=attributes)

    def _of_flags(self, recording: Recording, run: Run[Channel]) -> Attributes | None:
        """The attributes of a run's messages that have none of their own."""
        key = run.qos, run.retained
        if key not in self._flagged:
            self._flagged[key] = recording.flagged(self._attributes, *key)
        return self._flagged[key]

    def _take_qos2(self, offer: _Offer, run: Run[Channel]) -> None:
        """Store QoS 2 messages whose packet id is new; the others are only answered.

        Identifiers known from the journal only are offered with their key: the journal decides.
        """
        unreleased = self._unreleased
        unreleased.used = True
        if self._senders is not None:
            all_ids = run.packet_ids
            run = self._senders.sort(run)
            left_out = set(all_ids).difference(run.packet_ids)
            unreleased.ids.update(int.from_bytes(raw, "big") for raw in left_out)
        whole = self._sparse(run)
        for i, raw in enumerate(run.packet_ids):
            packet_id = int.from_bytes(raw, "big")
            if packet_id in unreleased.ids:
                self._stats.resent += 1
                if packet_id not in unreleased.unconfirmed:
                    continue
                unreleased.unconfirmed.discard(packet_id)
            unreleased.ids.add(packet_id)
            start = len(offer.payloads)
            offer.channels.append(run.targets[i])
            offer.payloads.append(run.payloads[i])
            one = whole.cut(i, i + 1)
            key = (one.keys and one.keys[0]) or unreleased.key(packet_id)
            offer.sparse.add(start, one._replace(keys=(key,)))

    def _id_keys(self, run: Run[Channel]) -> list[bytes]:
        """The key of each message that has an id: ids are unique within a topic."""
        pairs = zip(run.targets, run.ids or (), strict=True)
        if self._own_ids:
            return [sent_key(channel, self._owner, id) if id else b"" for channel, id in pairs]
        return [id_key(channel.owner, channel.topic, id) if id else b"" for channel, id in pairs]

    def _release(self, offer: _Offer, pubrel: Answer) -> None:
        """Release an identifier in the journal; PUBCOMP follows when that is durable."""
        packet_id = pubrel.packet_id
        reason = 0
        if packet_id in self._unreleased.ids:
            self._unreleased.ids.discard(packet_id)
            self._unreleased.unconfirmed.discard(packet_id)
            offer.release.append(self._unreleased.key(packet_id))
            offer.settled += 1
        else:
            reason = Reason.PACKET_IDENTIFIER_NOT_FOUND
        offer.acks.append(Answer(PUBCOMP, packet_id, reason).encode(V5 if self._five else 4))

    def _refuse(self, offer: _Offer, refused: Refused) -> None:
        """Refuse by the ack where it has a reason code, else end the connection (section 4.13)."""
        self._stats.refused[reason_name(refused.reason)] += 1
        self._told(refused)
        lenient = self._acknowledge_limited if refused.temporary else self._acknowledge_refused
        if not lenient and not (self._five and refused.qos):
            raise ProtocolError(refused.reason, refused.text)
        if not refused.qos:
            return
        if self.in_flight >= self._maximum:
            raise self._too_many()
        self.in_flight += 1
        offer.settled += 1
        kind = PUBACK if refused.qos == 1 else PUBREC
        packet_id = int.from_bytes(refused.packet_id, "big")
        explained = {"reason_string": refused.text} if self._explain else {}
        if self._five:
            offer.acks.append(Answer(kind, packet_id, refused.reason, explained).encode(V5))
        else:
            offer.acks.append(answers(kind, [refused.packet_id]))
