"""What was sent, what was acknowledged, and what must be true of the answers afterwards.

    senders ──sent(n)──> Oracle <──acknowledged(n)── senders
                            ^
    faults ──died()─────────┘            check(): the archive of everything ──> who was stored
                                         promises.py: all other answers follow from that

Every message has a number, which its payload carries; so a record says which message it is, and a
message that was never sent, or came out another, cannot hide.
"""

import os
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

SOAK = os.environ.get("LAKEBED_SOAK", "") not in ("", "0")
"""`make soak`: the attacks in the numbers that take hours."""

SEED = int(os.environ.get("LAKEBED_SEED", "20260301"))
"""Replays the choices of a run; timing is the machine's."""

Repeats = Literal["never", "unanswered", "stalled", "always"]

_NUMBER = re.compile(r"\d+")


def times(ci: int, soak: int) -> int:
    """How often to attack."""
    return soak if SOAK else ci


@dataclass(frozen=True, slots=True)
class Sent:
    """One message as its sender meant it.

    Attributes:
        repeats: whether it may be stored more than once: `never` where its sender gave it an id,
            or the protocol tells repetitions apart (QoS 2), or nobody repeats; `unanswered` for
            plain QoS 1 without an answer when the server died; `stalled` for QoS 2 that may go on
            at another gateway while the first one's append is stuck (docs/decisions/005); `always`
            for plain QoS 1 by way of a broker, whose answer to the sender is not ours to the
            broker.
        time, id: as given, or None.
    """

    number: int
    topic: str
    payload: str
    repeats: Repeats
    time: datetime | None = None
    id: str | None = None

    @property
    def kept(self) -> bool:
        """Whether a policy asks for its topic."""
        return self.topic.startswith("o/")


class Oracle:
    """The account of all senders. Any thread.

    Attributes:
        lost: messages of others that were accepted and, as told, lost with the topic.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._lock = threading.Lock()
        self.messages: dict[int, Sent] = {}
        self.acknowledged: set[int] = set()
        self._repeatable: set[int] = set()

    def send(self, message: Sent) -> None:
        """To be called before the message leaves."""
        with self._lock:
            assert message.number not in self.messages
            self.messages[message.number] = message
            if message.repeats == "always":
                self._repeatable.add(message.number)

    def acknowledge(self, numbers: Iterable[int]) -> None:
        with self._lock:
            self.acknowledged.update(numbers)

    def died(self) -> None:
        """Somebody on the way was killed: who has no answer yet will send again."""
        self._may_repeat("unanswered")

    def stalled(self) -> None:
        """Somebody on the way hangs, with what has no answer yet, and may go on with it later."""
        self._may_repeat("unanswered", "stalled")

    def _may_repeat(self, *which: Repeats) -> None:
        with self._lock:
            unanswered = self.messages.keys() - self.acknowledged
            self._repeatable |= {n for n in unanswered if self.messages[n].repeats in which}

    # --- afterwards -------------------------------------------------------------------------------

    def check_stored(self, records: list[dict[str, Any]]) -> None:
        """Compare the archive of everything with what was sent."""
        found: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for record in records:
            number = int(_NUMBER.search(record["value"])[0])  # type: ignore[index]
            assert number in self.messages, f"never sent: {record}"
            check_same(record, self.messages[number])
            found[number].append(record)
        positions = Counter(record["position"] for record in records)
        assert max(positions.values(), default=1) == 1, "two messages at one place"
        lost = {n for n in self.acknowledged if self.messages[n].kept} - found.keys()
        assert not lost, f"{len(lost)} acknowledged and lost: {self._examples(lost)}"
        twice = {n for n, rows in found.items() if len(rows) > 1} - self._repeatable
        again = sum(len(rows) > 1 for rows in found.values())
        print(f"{len(self.messages)} sent, {len(self.acknowledged)} acknowledged, {again} repeated")
        assert not twice, f"{len(twice)} stored twice: {[found[n] for n in sorted(twice)[:3]]}"

    def check_sum(self, counted: Mapping[str, Any], stored: int, before: Counter[str]) -> None:
        """Invariant 3, with the numbers that only the senders know.

        Args:
            before: what was counted before they began.
        """
        flow = {part: counted[part] - before[part] for part in ("received", "kept", "skipped")}
        assert flow["kept"] == stored, f"{stored} records: {flow}"
        nobodys = {n for n, message in self.messages.items() if not message.kept}
        assert all(self.messages[n].repeats == "never" for n in nobodys), (
            "these cannot be counted from outside"
        )
        asked = len(nobodys & self.acknowledged)
        assert asked <= flow["skipped"] <= len(nobodys), f"{asked} … {len(nobodys)}: {flow}"
        flow["duplicates"], flow["lost"] = counted["duplicates"], counted["lost"]
        assert flow["lost"] == self.lost, flow
        accounted = sum(flow[part] for part in ("kept", "skipped", "duplicates", "lost"))
        assert flow["received"] == accounted, flow

    def _examples(self, numbers: Iterable[int]) -> list[Sent]:
        return [self.messages[n] for n in sorted(numbers)[:5]]


def check_same(record: Mapping[str, Any], sent: Sent) -> None:
    """A record is its message, to the last byte."""
    assert record["topic"] == sent.topic, f"{record} is not {sent}"
    assert record["value"] == sent.payload, f"{record} is not {sent}"
    assert record["size"] == len(sent.payload.encode()), f"{record} is not {sent}"
    assert record.get("id") == sent.id, f"{record} is not {sent}"
    if sent.time is not None:
        assert datetime.fromisoformat(record["time"]) == sent.time, f"{record} is not {sent}"


def place(record: Mapping[str, Any]) -> tuple[int, int]:
    """Partition and offset of a record: the order of arrival within its topic."""
    partition, _, offset = record["position"].partition(":")
    return int(partition), int(offset)
